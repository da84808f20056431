// Internal functions of core/config for reading files and the tables of settings.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/cluster.h"

namespace canopy::config {

// The configuration in the file at `path`.
base::Result<std::string> read_text(const std::string& path);

// Every key of the file, such as "state_dir" and "shards.partitions.subtree".
std::vector<std::string> setting_keys();

// Sets a top-level text, under the same rules as in the file; `source` names the flag or variable
// in the error.
base::Status override_setting(Cluster& cluster, const std::string& key, const std::string& value,
                              const std::string& source);

}  // namespace canopy::config
