#include "proxy/write_queue.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "core/base/limits.h"

namespace canopy::proxy {

bool WriteQueue::add(wire::RoutedRequest request, std::size_t max_bytes) {
  const std::size_t payload = request.request.bytes();
  const std::size_t cost = payload + overhead * (request.request.writes.size() + 1);
  if (bytes() > 0 && bytes() + cost > max_bytes) return false;
  if (gathered_payload_ + payload > base::max_chunk_bytes ||
      gathered_.size() == wire::max_message_updates) {
    enclose();
  }
  gathered_payload_ += payload;
  gathered_bytes_ += cost;
  gathered_.push_back(std::move(request));
  return true;
}

void WriteQueue::enclose() {
  if (gathered_.empty()) return;
  enclosed_ += gathered_.size();
  messages_.push_back(wire::encode(wire::Writes{std::exchange(gathered_, {})}));
  message_bytes_ += messages_.back().capacity();
  gathered_payload_ = 0;
  gathered_bytes_ = 0;
}

void WriteQueue::pop_front() {
  message_bytes_ -= messages_.front().capacity();
  messages_.pop_front();
}

std::vector<wire::RoutedRequest> WriteQueue::take_all() {
  enclose();
  std::vector<wire::RoutedRequest> all;
  for (; !messages_.empty(); pop_front()) {
    auto message = wire::decode_to_shard(messages_.front());
    assert(message);  // the queue encoded it itself
    auto& requests = std::get<wire::Writes>(*message).requests;
    std::ranges::move(requests, std::back_inserter(all));
  }
  return all;
}

}  // namespace canopy::proxy
