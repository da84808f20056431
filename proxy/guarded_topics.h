// Reads what clients subscribe to from an XPUB that has to be told whom to serve (xpub_manual), and
// has it serve what they may have. Belongs to the node's loop.
//
// libzmq 4.3.4 binds a subscription that is accepted to the peer of the last message that was
// received, and is wrong twice:
// - The peer may be gone by then, and its memory freed. So a subscription is only accepted of a
//   connection that still stands, as the monitor says; libzmq tells it of an end before it lets go.
// - A message that is no subscription shifts its count of peers, so that what follows would be
// bound
//   to somebody else, until nothing more waits to be read. So its sender is cut off, and so is
//   whoever subscribes behind it: he connects anew, and subscribes again.
// And it reports the end of a connection's subscriptions without saying whose they were, refused
// ones included: what has ended is taken from the monitor instead.
#pragma once

#include <functional>
#include <string_view>

#include "core/net/socket.h"
#include "proxy/frontend.h"

namespace canopy::proxy {

class GuardedTopics {
 public:
  static constexpr std::size_t max_topics = 10'000;  // of one connection

  struct Owner {
    // Reads the monitor of the listener, and calls forget_gone() when something has changed there.
    std::function<void()> look;
    // A client wants to begin, or has ended; begin says whether it may.
    std::function<bool(std::string_view topic, const net::Message& message)> begin;
    std::function<void(std::string_view topic)> end;
    std::function<void(std::string_view reason)> reject;
  };

  GuardedTopics(Listener& listener, Owner owner) : listener_(listener), owner_(std::move(owner)) {}

  // Up to `most` messages.
  void read(net::Message& message, int most);
  void forget_gone();

 private:
  void take(const net::Message& message);
  void cut_off(const net::Message& message);

  Listener& listener_;
  Owner owner_;
  bool misaligned_ = false;  // libzmq's count of peers is shifted
};

}  // namespace canopy::proxy
