// The topics of a listener without security: libzmq serves every subscription, here they are
// counted.
//
// A connection is known by its descriptor, which may be another's by the time that its last words
// are read. What it began with them then counts for the other one, for as long as that stays: a
// topic may be kept for longer than it must, and none is given up that somebody is on. Of peers
// older than ZMTP 3 libzmq does not say who they are: what they subscribe to counts once, and for
// good.
#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "proxy/frontend.h"
#include "proxy/topics.h"

namespace canopy::proxy {

class OpenTopics final : public Topics {
 public:
  OpenTopics(Listener& listener, Owner owner) : listener_(listener), owner_(std::move(owner)) {}

  void read(net::Message& message, int most) override;
  void forget(std::span<const PeerId> ended) override;

 private:
  using Names = std::set<std::string, std::less<>>;

  void take(const net::Message& message);
  Names* topics_of(const net::Message& message);

  Listener& listener_;
  Owner owner_;
  std::unordered_map<PeerId, Names> by_connection_{};
  Names of_old_peers_{};
};

}  // namespace canopy::proxy
