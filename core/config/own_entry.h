// What a process makes of the entry of the file that is its own: what stands there for something
// only the process knows is filled in.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/config/cluster.h"

namespace canopy::config {

// `name` with each %h replaced by `host`, in lower case and with '-' for what a name cannot have.
std::string expand_name(std::string_view name, std::string_view host);

// Gives the cluster an entry for the proxy `name` if only a template fits it, and the shard or
// proxy `name` this machine's address where it says `advertise: auto`. A name that nothing fits is
// no error here.
base::Status complete_own_entry(Cluster& cluster, const std::string& name);

}  // namespace canopy::config
