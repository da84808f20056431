#include "core/wire/clone.h"

#include <charconv>

#include "core/base/limits.h"
#include "core/keyspace/key.h"

namespace canopy::wire::clone {
namespace {

constexpr std::int64_t max_ttl_seconds = 10ll * 365 * 24 * 3600;

std::size_t frame_count(Dialect dialect) { return dialect == Dialect::kvsimple ? 3 : 5; }

// Seconds of the `ttl` property, 0 without one; negative when it is not a number of seconds.
std::int64_t parse_ttl(std::string_view properties) {
  constexpr std::string_view name = "ttl=";
  while (!properties.empty()) {
    const std::size_t end = std::min(properties.find('\n'), properties.size());
    const std::string_view line = properties.substr(0, end);
    properties.remove_prefix(std::min(end + 1, properties.size()));
    if (!line.starts_with(name)) continue;
    const std::string_view digits = line.substr(name.size());
    std::int64_t seconds = -1;
    const auto [rest, fault] =
        std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (fault != std::errc() || rest != digits.data() + digits.size()) return -1;
    return seconds <= max_ttl_seconds ? seconds : -1;
  }
  return 0;
}

}  // namespace

std::string_view name(Dialect dialect) {
  switch (dialect) {
    case Dialect::kvsimple: return "kvsimple";
    case Dialect::kvmsg: return "kvmsg";
    case Dialect::chp: return "chp";
  }
  return "";
}

std::variant<Write, Rejection> parse_write(Dialect dialect,
                                           std::span<const std::string_view> frames) {
  if (frames.size() != frame_count(dialect)) return Rejection{"frame_count"};
  const std::string_view key = frames.front();
  const std::string_view value = frames.back();
  if (const auto fault = keyspace::check_key(key); fault != keyspace::KeyFault::none) {
    return Rejection{keyspace::to_reason(fault)};
  }
  if (frames[1].size() != 8) return Rejection{"sequence_length"};
  if (value.size() > base::max_value_bytes) return Rejection{"value_too_long"};
  Write write{.key = std::string(key), .value = std::string(value), .deletes = value.empty()};
  if (dialect == Dialect::kvsimple) return write;

  const std::string_view uuid = frames[2];
  const std::string_view properties = frames[3];
  if (!uuid.empty() && uuid.size() != 16) return Rejection{"uuid_length"};
  if (properties.size() > base::max_properties_bytes) return Rejection{"properties_too_long"};
  const std::int64_t ttl = parse_ttl(properties);
  if (ttl < 0) return Rejection{"ttl_malformed"};
  write.ttl_ms = ttl * 1000;
  write.uuid = uuid;
  write.properties = properties;
  // A chp client publishes to its primary and its backup at once.
  write.once = dialect == Dialect::chp && !uuid.empty();
  return write;
}

std::variant<std::string_view, Rejection> parse_snapshot_request(
    std::span<const std::string_view> frames) {
  if (frames.empty() || frames.size() > 2 || frames[0] != snapshot_request) {
    return Rejection{"bad_request"};
  }
  const std::string_view prefix = frames.size() == 2 ? frames[1] : std::string_view();
  if (const auto fault = keyspace::check_prefix(prefix); fault != keyspace::KeyFault::none) {
    return Rejection{keyspace::to_reason(fault)};
  }
  return prefix;
}

Frames::Frames(Dialect dialect, std::string_view key, std::int64_t sequence, std::string_view uuid,
               std::string_view properties, std::string_view body)
    : count_(frame_count(dialect)) {
  for (std::size_t i = 0; i < sequence_.size(); ++i) {
    sequence_[i] = static_cast<char>(static_cast<std::uint64_t>(sequence) >> (56 - 8 * i));
  }
  frames_[0] = key;
  frames_[1] = {sequence_.data(), sequence_.size()};
  if (count_ == 5) {
    frames_[2] = uuid;
    frames_[3] = properties;
  }
  frames_[count_ - 1] = body;
}

Frames update(Dialect dialect, const keyspace::Update& update, std::int64_t sequence) {
  return {dialect, update.key, sequence, update.uuid, update.properties, update.value};
}

Frames end_of_snapshot(Dialect dialect, std::string_view prefix, std::int64_t sequence) {
  return {dialect,
          snapshot_end,
          sequence,
          std::string_view(),
          std::string_view(),
          dialect == Dialect::kvsimple ? std::string_view() : prefix};
}

Frames heartbeat_message() { return {Dialect::chp, heartbeat, 0, {}, {}, {}}; }

std::variant<std::int64_t, Rejection> parse_sequence(std::string_view frame) {
  if (frame.size() != 8) return Rejection{"sequence_length"};
  std::uint64_t value = 0;
  for (const char byte : frame) value = (value << 8) | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(value);
}

}  // namespace canopy::wire::clone
