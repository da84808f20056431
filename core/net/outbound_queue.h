// What waits to be sent over one connection: reference-counted buffers, which many connections may
// share, sent in order with gathered writes. Pure; not thread-safe.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace canopy::net {

// Immutable bytes, shared by connections.
using Buffer = std::shared_ptr<const std::string>;

class OutboundQueue {
 public:
  // Bytes of one connection alone are gathered in buffers of about this size.
  static constexpr std::size_t gathered_bytes = std::size_t{64} << 10;

  // Whole messages only: what is queued is sent to its end.
  void push(Buffer buffer);
  // Copies; small pieces share a buffer.
  void append(std::string_view bytes);

  // Points `vectors` at what is to be sent next; how many of them are used.
  std::size_t gather(std::span<iovec> vectors) const;
  // So many bytes of that were sent.
  void consume(std::size_t bytes);
  void clear();

  bool empty() const { return buffers_.empty(); }
  // Not yet sent. Shared buffers count in full at each connection.
  std::size_t bytes() const { return bytes_; }

 private:
  std::deque<Buffer> buffers_;
  std::shared_ptr<std::string> open_;  // the last of buffers_, while more may be appended to it
  std::size_t sent_ = 0;               // of the first
  std::size_t bytes_ = 0;
};

}  // namespace canopy::net
