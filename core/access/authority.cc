#include "core/access/authority.h"

#include <utility>

namespace canopy::access {

std::optional<std::string> Authority::name_of(std::string_view public_key) const {
  if (!cluster_key_.empty() && public_key == cluster_key_) return std::string(cluster_name);
  const std::string* const name = permissions_.name_of(public_key);
  return name == nullptr ? std::nullopt : std::optional(*name);
}

bool Authority::is_admin(const Sender& sender) const {
  return is_own_process(sender) || (is_client(sender) && permissions_.is_admin(sender.name));
}

bool Authority::may_read(const Sender& sender, std::string_view prefix) const {
  return is_client(sender) && permissions_.may_read(sender.name, prefix);
}

bool Authority::may_write(const Sender& sender, std::string_view key) const {
  return is_client(sender) && permissions_.may_write(sender.name, key);
}

std::vector<std::string> Authority::replace(Permissions next) {
  std::vector<std::string> changed = permissions_.changed_by(next);
  permissions_ = std::move(next);
  return changed;
}

}  // namespace canopy::access
