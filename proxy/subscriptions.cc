#include "proxy/subscriptions.h"

namespace canopy::proxy {

void Subscriptions::add(std::string_view topic, MirrorLease lease) {
  if (const auto known = topics_.find(topic); known != topics_.end()) {
    ++known->second.subscribers;
  } else if (topics_.size() < max_topics) {
    topics_.emplace(topic, Topic{.subscribers = 1, .lease = std::move(lease)});
    ++lengths_[topic.size()];
  } else {
    overflowed_ = true;
  }
}

void Subscriptions::remove(std::string_view topic) {
  const auto known = topics_.find(topic);
  if (known == topics_.end() || --known->second.subscribers > 0) return;
  topics_.erase(known);
  const auto length = lengths_.find(topic.size());
  if (--length->second == 0) lengths_.erase(length);
}

// One look-up per distinct length: clients of one kind subscribe to prefixes of few lengths.
std::size_t Subscriptions::matching(std::string_view key) const {
  std::size_t count = 0;
  for (const auto& [length, topics] : lengths_) {
    if (length > key.size()) break;
    if (const auto topic = topics_.find(key.substr(0, length)); topic != topics_.end()) {
      count += topic->second.subscribers;
    }
  }
  return count;
}

}  // namespace canopy::proxy
