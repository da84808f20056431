// The writes that wait for one shard, bounded in bytes. They are gathered into messages of at most
// base::max_chunk_bytes, or of one request. Pure; not thread-safe. Format: core/wire/link.h.
//
// While a message waits, further requests are gathered: a slower shard gets larger messages.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "core/wire/link.h"

namespace canopy::proxy {

class WriteQueue {
 public:
  // Memory of a request or write beside its own bytes.
  static constexpr std::size_t overhead = 256;

  // False when the queue would exceed `max_bytes`. An empty queue accepts any request.
  bool add(wire::RoutedRequest request, std::size_t max_bytes);
  // Makes a message of the gathered requests, unless a message already waits.
  void flush() {
    if (messages_.empty()) enclose();
  }

  // The oldest message.
  bool empty() const { return messages_.empty(); }
  const std::string& front() const { return messages_.front(); }
  void pop_front();
  // Removes and returns all requests, oldest first, for the queue of another shard.
  std::vector<wire::RoutedRequest> take_all();

  // Of messages and gathered requests.
  std::size_t bytes() const { return message_bytes_ + gathered_bytes_; }
  // Number of requests put into messages since the last call.
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
