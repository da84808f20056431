// How many clients may come in. Pure: counts and time in, open or closed out.
//
// A Clone client makes up to three connections, one for each role. Every role admits at most
// max_clients, so descriptors are bounded by 3 × max_clients. Once one role is full the proxy is
// full: the other roles stay open only for as long as a client that is already half in needs to
// complete its three.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/clock.h"

namespace canopy::proxy {

enum class Role { snapshot, updates, collector };
inline constexpr std::array roles{Role::snapshot, Role::updates, Role::collector};
inline constexpr std::uint64_t connections_per_client = roles.size();

class Admission {
 public:
  static constexpr base::Duration catch_up = std::chrono::seconds(2);

  explicit Admission(std::uint64_t max_clients) : max_clients_(max_clients) {}

  // Those who are in stay.
  void set_max_clients(std::uint64_t max_clients) { max_clients_ = max_clients; }
  void set_connections(Role role, std::uint64_t count, base::TimePoint now);
  // Nobody new comes in any more.
  void close() { closed_ = true; }

  // How many more connections of this role may come in.
  std::uint64_t room(Role role, base::TimePoint now) const;
  bool full() const { return full_since_.has_value(); }
  // Clients connected: the connections of the role that has most.
  std::uint64_t clients() const;
  std::uint64_t max_clients() const { return max_clients_; }

 private:
  std::uint64_t max_clients_;
  std::array<std::uint64_t, roles.size()> connections_{};
  std::optional<base::TimePoint> full_since_;
  bool closed_ = false;
};

}  // namespace canopy::proxy
