// The peers that a process accepts, and what each may do there. Pure. Not thread-safe.
//
// Permissions may be replaced while clients are connected: the process then closes the connections
// of those whose entry has changed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/access/permissions.h"
#include "core/access/sender.h"

namespace canopy::access {

class Authority {
 public:
  // The holder of `cluster_key` is one of the cluster's own processes, if it is not empty.
  Authority(std::string cluster_key, Permissions permissions)
      : cluster_key_(std::move(cluster_key)), permissions_(std::move(permissions)) {}

  // The name that the holder of a public key is let in under; nothing for a stranger.
  std::optional<std::string> name_of(std::string_view public_key) const;

  bool is_own_process(const Sender& sender) const { return sender.name == cluster_name; }
  bool is_client(const Sender& sender) const { return permissions_.knows(sender.name); }
  bool is_admin(const Sender& sender) const;
  bool may_read(const Sender& sender, std::string_view prefix) const;
  bool may_write(const Sender& sender, std::string_view key) const;

  // Returns the names whose entry has gone or is another now: their connections are to be closed.
  std::vector<std::string> replace(Permissions next);

 private:
  std::string cluster_key_;
  Permissions permissions_;
};

}  // namespace canopy::access
