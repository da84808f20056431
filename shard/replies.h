// Gathers the answers of one turn into one message for each proxy, within the bounds of a message.
// Pure; not thread-safe. Format: core/wire/link.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/wire/link.h"

namespace canopy::shard {

// Id of a proxy's requests connection; never used again.
using ProxyId = std::uint64_t;

// The result of a request.
struct Result {
  wire::Fault fault = wire::Fault::none;
  keyspace::Revision revision{};  // of its last write; with revision_mismatch: of the entry
};

struct Reply {
  ProxyId proxy = 0;
  wire::Answer answer{};

  // Moves `reply_to` out of the request.
  static Reply to(ProxyId proxy, wire::RoutedRequest& routed, Result result);
  // Replaces the result by this fault.
  void refuse(wire::Fault fault);
};

class Replies {
 public:
  struct Message {
    ProxyId proxy = 0;
    wire::Answers answers{};
  };

  // Drops a reply without `reply_to`.
  void add(Reply reply);
  // Removes and returns all replies; replies to one proxy keep their order.
  std::vector<Message> take_messages();

 private:
  std::map<ProxyId, std::vector<wire::Answer>> by_proxy_;
};

}  // namespace canopy::shard
