// Who is let in by a process, and what he may do there: the permissions in force, and since which
// connection. Pure. Not thread-safe.
//
// Permissions may be replaced while clients are connected. Whoever's entry has changed by that has
// to connect anew: until then his connections from before count for nothing.
#pragma once

#include <cstdint>
#include <map>
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
  // Whether a client is known, by a connection that was let in under the permissions of now.
  bool is_client(const Sender& sender) const;
  bool is_admin(const Sender& sender) const;
  bool may_read(const Sender& sender, std::string_view prefix) const;
  bool may_write(const Sender& sender, std::string_view key) const;

  // `last_connection` is the highest number given so far. Returns the names whose entry has gone or
  // is another now.
  std::vector<std::string> replace(Permissions next, std::uint64_t last_connection);

 private:
  std::string cluster_key_;
  Permissions permissions_;
  std::map<std::string, std::uint64_t, std::less<>> void_up_to_;  // by name
};

}  // namespace canopy::access
