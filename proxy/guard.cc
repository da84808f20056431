#include "proxy/guard.h"

#include "core/base/log.h"
#include "core/wire/fault.h"

namespace canopy::proxy {

Guard::Guard(const std::optional<config::Security>& security, Metrics& metrics)
    : metrics_(metrics) {
  if (!security) return;
  keys_ = security->server_key;
  authority_.emplace("", access::Permissions(security->clients));
}

bool Guard::may_read(std::string_view client, std::string_view prefix, std::string_view what) {
  return !on() || allow(authority_->may_read({client}, prefix), client, what);
}

bool Guard::may_write(std::string_view client, std::string_view key) {
  return !on() || allow(authority_->may_write({client}, key), client, "write");
}

bool Guard::may_administer(std::string_view client) {
  return !on() || allow(authority_->is_admin(client), client, "list or end connections");
}

bool Guard::allow(bool allowed, std::string_view client, std::string_view what) {
  if (allowed) return true;
  metrics_.reject(wire::name(wire::Fault::forbidden));
  if (logged_.emplace(client, what).second) {
    base::log::warn("security", "forbidden", {{"client", client}, {"what", what}});
  }
  return false;
}

std::optional<std::string> Guard::name_of(std::string_view public_key) const {
  return on() ? authority_->name_of(public_key) : std::nullopt;
}

std::vector<std::string> Guard::replace(const config::Security& security) {
  if (!on()) return {};
  logged_.clear();
  return authority_->replace(access::Permissions(security.clients));
}

}  // namespace canopy::proxy
