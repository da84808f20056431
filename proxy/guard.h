// Checks the permissions of clients. Without `security` every action is permitted. Refusals are
// counted, and each kind is logged once per client. Not thread-safe.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/access/authority.h"
#include "core/config/cluster.h"
#include "proxy/metrics.h"

namespace canopy::proxy {

class Guard {
 public:
  Guard(const std::optional<config::Security>& security, Metrics& metrics);

  bool on() const { return authority_.has_value(); }
  // The cluster's keys; null without security.
  const access::KeyPair* keys() const { return on() ? &keys_ : nullptr; }

  // Whether the client of this name may read every key with `prefix`; `what` names the action in
  // the log.
  bool may_read(std::string_view client, std::string_view prefix, std::string_view what);
  bool may_write(std::string_view client, std::string_view key);
  bool may_administer(std::string_view client);

  // The client name that a public key belongs to; nothing: unknown key.
  std::optional<std::string> name_of(std::string_view public_key) const;
  // Puts new permissions in force. Returns the clients whose permissions changed: the caller closes
  // their connections.
  std::vector<std::string> replace(const config::Security& security);

 private:
  bool allow(bool allowed, std::string_view client, std::string_view what);

  Metrics& metrics_;
  access::KeyPair keys_{};
  std::optional<access::Authority> authority_{};
  // (client, what); bounded by the configured names.
  std::set<std::pair<std::string, std::string>> logged_{};
};

}  // namespace canopy::proxy
