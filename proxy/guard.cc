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

bool Guard::may_read(const net::Message& message, std::string_view prefix, std::string_view what) {
  if (!on()) return true;
  const access::Sender sender = message.sender();
  return allow(authority_->may_read(sender, prefix), sender, what);
}

bool Guard::may_write(const net::Message& message, std::string_view key) {
  if (!on()) return true;
  const access::Sender sender = message.sender();
  return allow(authority_->may_write(sender, key), sender, "write");
}

bool Guard::allow(bool allowed, const access::Sender& sender, std::string_view what) {
  if (allowed) return true;
  metrics_.reject(wire::name(wire::Fault::forbidden));
  if (logged_.emplace(sender.name, what).second) {
    base::log::warn("security", "forbidden", {{"client", sender.name}, {"what", what}});
  }
  return false;
}

std::optional<std::string> Guard::name_of(std::string_view public_key) const {
  return on() ? authority_->name_of(public_key) : std::nullopt;
}

std::vector<std::string> Guard::replace(const config::Security& security,
                                        std::uint64_t last_connection) {
  if (!on()) return {};
  logged_.clear();
  return authority_->replace(access::Permissions(security.clients), last_connection);
}

}  // namespace canopy::proxy
