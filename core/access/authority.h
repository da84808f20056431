// The peers that a process accepts, and what each peer may do. Pure. Not thread-safe.
//
// Permissions may be replaced while clients are connected. The process then closes the connections
// of each client whose entry has changed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/access/permissions.h"

namespace canopy::access {

// The cluster's own processes are known by this name, which no client can bear.
inline constexpr std::string_view cluster_name = "(cluster)";

class Authority {
 public:
  // The holder of `cluster_key` is one of the cluster's own processes, if it is not empty.
  Authority(std::string cluster_key, Permissions permissions)
      : cluster_key_(std::move(cluster_key)), permissions_(std::move(permissions)) {}

  // The name of the holder of a public key; nothing for an unknown key.
  std::optional<std::string> name_of(std::string_view public_key) const;

  bool is_own_process(std::string_view name) const { return name == cluster_name; }
  bool is_client(std::string_view name) const { return permissions_.knows(name); }
  bool is_admin(std::string_view name) const;
  bool may_read(std::string_view name, std::string_view prefix) const;
  bool may_write(std::string_view name, std::string_view key) const;

  // Returns the names whose entry was removed or changed. The caller closes their connections.
  std::vector<std::string> replace(Permissions next);

 private:
  std::string cluster_key_;
  Permissions permissions_;
};

}  // namespace canopy::access
