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

bool Admission::open(Role role, base::TimePoint now) const {
  if (closed_) return false;
  if (!full_since_) return true;
  return connections_[static_cast<std::size_t>(role)] < max_clients_ &&
         now - *full_since_ < catch_up;
}

std::uint64_t Admission::clients() const { return *std::ranges::max_element(connections_); }

}  // namespace canopy::proxy
