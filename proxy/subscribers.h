// Which connection subscribed to what: so that nobody can end what he has not begun, or begin it
// twice. Pure; not thread-safe.
//
// libzmq passes on whatever a peer says, as often as it says it; and when a connection ends it says
// once, for each of its topics, that the subscription has ended, without naming the connection.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/net/monitor.h"

namespace canopy::proxy {

class Subscribers {
 public:
  // Whom the monitor sees now: a descriptor may have been taken over by another connection.
  void meet(const std::vector<net::Monitor::Connection>& connections) {
    for (const auto& connection : connections) {
      Connection& known = by_fd_[connection.fd];
      const bool taken_over = known.since && known.since != connection.since;
      if (taken_over) known.topics.clear();
      known.since = connection.since;
      known.absent = false;
    }
  }
  // Forgets connections that are gone, the second time they are found so: what they said last may
  // still have been on its way.
  void forget_absent(const std::vector<net::Monitor::Connection>& connections) {
    std::erase_if(by_fd_, [](const auto& known) { return known.second.absent; });
    for (auto& [fd, known] : by_fd_) known.absent = true;
    meet(connections);
  }
  // Whether this begins something.
  bool begin(int fd, std::string_view topic) { return by_fd_[fd].topics.emplace(topic).second; }
  // Whether this ends something; by no connection (-1): one has ended.
  bool end(int fd, std::string_view topic) {
    return fd < 0 || by_fd_[fd].topics.erase(std::string(topic)) > 0;
  }

 private:
  struct Connection {
    std::optional<base::TimePoint> since{};  // nothing: heard before the monitor saw it
    std::unordered_set<std::string> topics{};
    bool absent = false;
  };
  std::unordered_map<int, Connection> by_fd_;
};

}  // namespace canopy::proxy
