// The prefixes that the clients of one dialect subscribe to, with how many subscribe to each and
// the lease of what they watch. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "proxy/mirror_lease.h"

namespace canopy::proxy {

class Subscriptions {
 public:
  // Distinct prefixes counted at most. Further ones are served by libzmq all the same, but not
  // counted, and overflowed() says so from then on.
  static constexpr std::size_t max_topics = 100'000;

  void add(std::string_view topic, MirrorLease lease = {});
  void remove(std::string_view topic);

  // How many subscriptions match `key`; a client that subscribed to two matching prefixes counts
  // twice.
  std::size_t matching(std::string_view key) const;

  bool overflowed() const { return overflowed_; }
  // Distinct prefixes.
  std::size_t size() const { return topics_.size(); }

 private:
  struct Topic {
    std::size_t subscribers = 0;
    MirrorLease lease{};
  };
  std::map<std::string, Topic, std::less<>> topics_;
  std::map<std::size_t, std::size_t> lengths_;  // length -> topics of that length
  bool overflowed_ = false;
};

}  // namespace canopy::proxy
