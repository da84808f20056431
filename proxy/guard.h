// What clients may do at this proxy, where the cluster has security; without, they may do all.
// Refusals are counted, and each kind is logged once per client. Not thread-safe.
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
  // Of the cluster; null without security.
  const access::KeyPair* keys() const { return on() ? &keys_ : nullptr; }

  // Whether the client of this name may watch or fetch whatever begins with `prefix`; `what` says
  // in the log how it tries to.
  bool may_read(std::string_view client, std::string_view prefix, std::string_view what);
  bool may_write(std::string_view client, std::string_view key);
  bool may_administer(std::string_view client);

  // The name that the holder of a key is accepted under.
  std::optional<std::string> name_of(std::string_view public_key) const;
  // From now on these permissions are in force. Returns the clients that they change something for:
  // their connections are to be closed.
  std::vector<std::string> replace(const config::Security& security);

 private:
  bool allow(bool allowed, std::string_view client, std::string_view what);

  Metrics& metrics_;
  access::KeyPair keys_{};
  std::optional<access::Authority> authority_{};
  std::set<std::pair<std::string, std::string>> logged_{};  // client, what; names are a bounded lot
};

}  // namespace canopy::proxy
