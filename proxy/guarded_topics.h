// Reads what clients subscribe to from an XPUB that has to be told whom to serve (xpub_manual), and
// has it serve what they may have. Belongs to the node's loop.
//
// libzmq 4.3.4 binds a subscription that is accepted to the peer of the last message that was
// received, and is wrong twice:
// - The peer may be gone by then, and its memory freed. So a subscription is only accepted of a
//   connection that still stands, as the monitor says; libzmq tells it of an end before it lets go.
// - A message that is no subscription shifts its count of peers, so that what follows would be
//   bound to somebody else, until nothing more waits to be read. So its sender is cut off, and so
//   is whoever subscribes behind it: he connects anew, and subscribes again.
#pragma once

#include "proxy/frontend.h"
#include "proxy/topics.h"

namespace canopy::proxy {

class GuardedTopics final : public Topics {
 public:
  GuardedTopics(Listener& listener, Owner owner) : listener_(listener), owner_(std::move(owner)) {}

  void read(net::Message& message, int most) override;
  void forget(std::span<const PeerId> ended) override;

 private:
  void take(const net::Message& message);
  void cut_off(const net::Message& message, const char* reason);

  Listener& listener_;
  Owner owner_;
  bool misaligned_ = false;  // libzmq's count of peers is shifted
};

}  // namespace canopy::proxy
