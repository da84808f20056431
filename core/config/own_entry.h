// Fills in the parts of a process's entry in the file that only the process knows. Reads this
// machine's addresses.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/config/cluster.h"

namespace canopy::config {

// `name` with each %h replaced by `host`, in lower case and with '-' for invalid characters.
std::string expand_name(std::string_view name, std::string_view host);

// Adds an entry for the proxy `name` if only a template matches it. Replaces `advertise: auto` of
// the shard or proxy `name` by this machine's address. A name without an entry is no error here.
base::Status complete_own_entry(Cluster& cluster, const std::string& name);

}  // namespace canopy::config
