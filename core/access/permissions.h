// Which clients may read and write which part of the key tree; the default is to deny. Pure; not
// thread-safe.
//
// CURVE proves a client's public key; the permissions map the key to the client's name. A client
// may read a prefix if it may read every key that begins with it. A grant of /results/ covers
// /results/eu/ and /results/eu/42, and neither / nor /results.
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

  // The name of the holder of this key; null for an unknown key.
  const std::string* name_of(std::string_view public_key) const;
  // False for an unknown name.
  bool may_read(std::string_view name, std::string_view prefix) const;
  bool may_write(std::string_view name, std::string_view key) const;
  bool is_admin(std::string_view name) const;
  bool knows(std::string_view name) const { return by_name_.contains(name); }
  // The names in `this` that `next` lacks, or has with another key or other rights.
  std::vector<std::string> changed_by(const Permissions& next) const;

 private:
  std::map<std::string, Client, std::less<>> by_name_;
  std::map<std::string, std::string, std::less<>> names_;  // by public key
};

}  // namespace canopy::access
