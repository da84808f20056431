#include "proxy/admission.h"

#include <algorithm>

namespace canopy::proxy {

void Admission::set_connections(Role role, std::uint64_t count, base::TimePoint now) {
  connections_[static_cast<std::size_t>(role)] = count;
  if (clients() < max_clients_) {
    full_since_.reset();
  } else if (!full_since_) {
    full_since_ = now;
  }
}

std::uint64_t Admission::room(Role role, base::TimePoint now) const {
  const std::uint64_t count = connections_[static_cast<std::size_t>(role)];
  if (closed_ || count >= max_clients_) return 0;
  if (full_since_ && now - *full_since_ >= catch_up) return 0;
  return max_clients_ - count;
}

std::uint64_t Admission::clients() const { return *std::ranges::max_element(connections_); }

}  // namespace canopy::proxy
