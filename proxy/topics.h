// What the clients of an XPUB subscribe to, connection by connection: nobody begins a topic twice
// or ends what he has not begun, and what a connection has begun ends with it. Belongs to the
// node's loop.
//
// libzmq passes on whatever a peer says, as often as it says it; and when a connection ends it
// tells of the end of each of its topics without saying whose they were. So its ends are not
// listened to: the monitor says which connections have gone. GuardedTopics also decides who is
// served, OpenTopics is for clusters without security.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "core/net/socket.h"
#include "proxy/peers.h"

namespace canopy::proxy {

struct Listener;

class Topics {
 public:
  static constexpr std::size_t max_topics = 100'000;  // of one connection

  struct Owner {
    // Reads the monitor of the listener, and calls forget() when something has changed there.
    std::function<void()> look;
    // A client wants to begin, or has ended; begin says whether it may.
    std::function<bool(std::string_view topic, const net::Message& message)> begin;
    std::function<void(std::string_view topic)> end;
    std::function<void(std::string_view reason)> reject;
  };

  virtual ~Topics() = default;
  // Up to `most` messages.
  virtual void read(net::Message& message, int most) = 0;
  // Ends what these connections had begun, for they have ended.
  virtual void forget(std::span<const PeerId> ended) = 0;
};

// Of a listener with security, or without.
std::unique_ptr<Topics> topics_of(Listener& listener, bool guarded, Topics::Owner owner);

// What a client may say to an XPUB: one frame, 1 or 0 (begins, ends) and the topic.
inline bool is_topic_event(const net::Message& message) {
  return message.size() == 1 && !message[0].empty() && (message[0][0] == 0 || message[0][0] == 1);
}

}  // namespace canopy::proxy
