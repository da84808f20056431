// What a changed configuration file asks for. Pure.
#pragma once

#include <string>
#include <vector>

#include "core/config/cluster.h"

namespace canopy::broker {

// One phrase per process that `wanted` adds, changes or removes: "proxy p5 added".
std::vector<std::string> differences(const config::Cluster& running, const config::Cluster& wanted);

}  // namespace canopy::broker
