#include "core/access/authority.h"

#include <utility>

namespace canopy::access {

std::optional<std::string> Authority::name_of(std::string_view public_key) const {
  if (!cluster_key_.empty() && public_key == cluster_key_) return std::string(cluster_name);
  const std::string* const name = permissions_.name_of(public_key);
  return name == nullptr ? std::nullopt : std::optional(*name);
}

bool Authority::is_admin(std::string_view name) const {
  return is_own_process(name) || (is_client(name) && permissions_.is_admin(name));
}

bool Authority::may_read(std::string_view name, std::string_view prefix) const {
  return is_client(name) && permissions_.may_read(name, prefix);
}

bool Authority::may_write(std::string_view name, std::string_view key) const {
  return is_client(name) && permissions_.may_write(name, key);
}

std::vector<std::string> Authority::replace(Permissions next) {
  std::vector<std::string> changed = permissions_.changed_by(next);
  permissions_ = std::move(next);
  return changed;
}

}  // namespace canopy::access
