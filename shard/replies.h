// Answers on their way back to the proxies that the requests came through: one message a proxy and
// turn, as far as a message's bounds allow. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/wire/link.h"

namespace canopy::shard {

// The connection that a proxy's requests come over; each is given once.
using ProxyId = std::uint64_t;

// What a request came to.
struct Result {
  wire::Fault fault = wire::Fault::none;
  keyspace::Revision revision{};  // of its last write; revision_mismatch: the entry's
};

struct Reply {
  ProxyId proxy = 0;
  wire::Answer answer{};

  // Takes `reply_to` out of the request.
  static Reply to(ProxyId proxy, wire::RoutedRequest& routed, Result result);
  // Answers with this fault instead.
  void refuse(wire::Fault fault);
};

class Replies {
 public:
  struct Message {
    ProxyId proxy = 0;
    wire::Answers answers{};
  };

  // One that nobody waits for is dropped.
  void add(Reply reply);
  // Everything added since the last call; what is for one proxy keeps its order.
  std::vector<Message> take();

 private:
  std::map<ProxyId, std::vector<wire::Answer>> by_proxy_;
};

}  // namespace canopy::shard
