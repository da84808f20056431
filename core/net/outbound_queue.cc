#include "core/net/outbound_queue.h"

#include <cassert>
#include <utility>

namespace canopy::net {

void OutboundQueue::push(Buffer buffer) {
  if (buffer->empty()) return;
  open_.reset();
  bytes_ += buffer->size();
  buffers_.push_back(std::move(buffer));
}

void OutboundQueue::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (open_ == nullptr || open_->size() + bytes.size() > gathered_bytes) {
    open_ = std::make_shared<std::string>();
    buffers_.push_back(open_);
  }
  open_->append(bytes);
  bytes_ += bytes.size();
}

std::size_t OutboundQueue::gather(std::span<iovec> vectors) const {
  std::size_t used = 0;
  std::size_t skipped = sent_;
  for (const Buffer& buffer : buffers_) {
    if (used == vectors.size()) break;
    // sendmsg does not write through it.
    vectors[used++] = {const_cast<char*>(buffer->data()) + skipped, buffer->size() - skipped};
    skipped = 0;
  }
  return used;
}

void OutboundQueue::consume(std::size_t bytes) {
  assert(bytes <= bytes_);
  bytes_ -= bytes;
  sent_ += bytes;
  while (!buffers_.empty() && sent_ >= buffers_.front()->size()) {
    sent_ -= buffers_.front()->size();
    if (buffers_.front() == open_) open_.reset();
    buffers_.pop_front();
  }
}

void OutboundQueue::clear() {
  buffers_.clear();
  open_.reset();
  sent_ = 0;
  bytes_ = 0;
}

}  // namespace canopy::net
