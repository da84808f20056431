// The writes that wait for one shard: gathered into messages of at most base::max_chunk_bytes, or
// of one request, and bounded in bytes.
//
// While a message waits, further requests are gathered instead of making messages of their own: the
// longer a shard takes, the more it is given at a time. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "core/wire/link.h"

namespace canopy::proxy {

class WriteQueue {
 public:
  // What a request or write takes in memory beside its own bytes.
  static constexpr std::size_t overhead = 256;

  // False when it would exceed `max_bytes`, as long as anything waits.
  bool add(wire::RoutedRequest request, std::size_t max_bytes);
  // Makes a message of what is gathered, unless one waits already.
  void flush() {
    if (messages_.empty()) enclose();
  }

  // The oldest message.
  bool empty() const { return messages_.empty(); }
  const std::string& front() const { return messages_.front(); }
  void pop_front();
  // All that waits, oldest first, for another queue; this one is empty then.
  std::vector<wire::RoutedRequest> take();

  // Of messages and what is gathered.
  std::size_t bytes() const { return message_bytes_ + gathered_bytes_; }
  // The requests that have become part of a message since the last call.
  std::size_t take_enclosed() { return std::exchange(enclosed_, 0); }

 private:
  void enclose();

  std::vector<wire::RoutedRequest> gathered_;
  std::size_t gathered_payload_ = 0;
  std::size_t gathered_bytes_ = 0;
  std::deque<std::string> messages_;  // encoded
  std::size_t message_bytes_ = 0;
  std::size_t enclosed_ = 0;
};

}  // namespace canopy::proxy
