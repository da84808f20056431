#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::wire::native {
namespace {

constexpr std::size_t head_bytes = 6;  // before the subtree
constexpr unsigned lz4_flag = 1;

}  // namespace

bool is_watchable(std::string_view subtree) {
  return keyspace::is_subtree(subtree) || keyspace::check_key(subtree) == keyspace::KeyFault::none;
}

std::string topic(const Subscription& subscription) {
  std::string topic;
  topic.reserve(subscription.subtree.size() + 7);
  topic += static_cast<char>(version);
  topic += static_cast<char>(subscription.lz4 ? lz4_flag : 0);
  for (int shift = 24; shift >= 0; shift -= 8) {
    topic += static_cast<char>(subscription.latest_ms >> shift);
  }
  topic += subscription.subtree;
  topic += '\0';
  return topic;
}

std::string_view topic_of(std::string_view frame) {
  if (frame.empty() || static_cast<std::uint8_t>(frame.front()) != version) return {};
  // Past the end of a short frame, nothing is found either.
  const std::size_t end = frame.find('\0', head_bytes);
  return end == std::string_view::npos ? std::string_view() : frame.substr(0, end + 1);
}

base::Result<Subscription> parse_topic(std::string_view topic) {
  if (topic.empty() || topic_of(topic) != topic) return base::Error{"topic: not of this version"};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(topic[i]); };
  Subscription subscription;
  if (byte(1) > lz4_flag) return base::Error{"topic: unknown flags"};
  subscription.lz4 = byte(1) == lz4_flag;
  for (std::size_t i = 2; i < head_bytes; ++i) {
    subscription.latest_ms = subscription.latest_ms << 8 | byte(i);
  }
  if (subscription.latest_ms > max_latest_ms) return base::Error{"topic: latest_ms too large"};
  subscription.subtree = topic.substr(head_bytes, topic.size() - head_bytes - 1);
  if (!is_watchable(subscription.subtree)) {
    return base::Error{"topic: neither a subtree nor a key"};
  }
  return subscription;
}

bool covers(std::string_view subtree, std::string_view key) {
  const bool is_key = !subtree.empty() && subtree.back() != '/';
  return is_key ? key == subtree : key.starts_with(subtree);
}

}  // namespace canopy::wire::native
