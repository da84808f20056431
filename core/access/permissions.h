// Who may read and write which part of the key tree. Pure; default deny. Not thread-safe.
//
// A client is known by its public key, which CURVE has proven, and is from then on called by its
// name. Reading is meant as watching: a prefix may be read if all keys that begin with it may be,
// so that a grant of /results/ covers /results/eu/ and /results/eu/42, and neither / nor /results.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::access {

struct Client {
  std::string name = {};
  std::string public_key = {};
  std::vector<std::string> read = {};   // subtrees; "" is the root
  std::vector<std::string> write = {};  // subtrees
  // May drain processes, reload the configuration, elect replicas, move and split partitions, order
  // backups.
  bool admin = false;

  bool operator==(const Client&) const = default;
};

class Permissions {
 public:
  Permissions() = default;
  explicit Permissions(std::vector<Client> clients);

  // The name that the holder of this key goes by; null for a stranger.
  const std::string* name_of(std::string_view public_key) const;
  // False for a name that is not known (any more).
  bool may_read(std::string_view name, std::string_view prefix) const;
  bool may_write(std::string_view name, std::string_view key) const;
  bool is_admin(std::string_view name) const;
  bool knows(std::string_view name) const { return by_name_.contains(name); }
  // Those who were known to `this` and are not to `next`, or by another key or with other rights.
  std::vector<std::string> changed_by(const Permissions& next) const;

 private:
  std::map<std::string, Client, std::less<>> by_name_;
  std::map<std::string, std::string, std::less<>> names_;  // by public key
};

}  // namespace canopy::access
