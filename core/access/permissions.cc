#include "core/access/permissions.h"

#include <algorithm>

namespace canopy::access {
namespace {

bool covered(const std::vector<std::string>& subtrees, std::string_view prefix) {
  return std::ranges::any_of(
      subtrees, [prefix](const std::string& subtree) { return prefix.starts_with(subtree); });
}

}  // namespace

Permissions::Permissions(std::vector<Client> clients) {
  for (Client& client : clients) {
    names_[client.public_key] = client.name;
    std::string name = client.name;
    by_name_[std::move(name)] = std::move(client);
  }
}

const std::string* Permissions::name_of(std::string_view public_key) const {
  const auto found = names_.find(public_key);
  return found == names_.end() ? nullptr : &found->second;
}

bool Permissions::may_read(std::string_view name, std::string_view prefix) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() && covered(found->second.read, prefix);
}

bool Permissions::may_write(std::string_view name, std::string_view key) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() && covered(found->second.write, key);
}

bool Permissions::is_admin(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() && found->second.admin;
}

std::vector<std::string> Permissions::changed_by(const Permissions& next) const {
  std::vector<std::string> changed;
  for (const auto& [name, client] : by_name_) {
    const auto then = next.by_name_.find(name);
    if (then == next.by_name_.end() || then->second != client) changed.push_back(name);
  }
  return changed;
}

}  // namespace canopy::access
