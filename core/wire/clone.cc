#include "core/wire/clone.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::wire::clone {
namespace {

constexpr std::string_view blanks = " \t\v\f\r";

std::size_t frame_count(Dialect dialect) { return dialect == Dialect::kvsimple ? 3 : 5; }

// The first property of this name; nothing without one.
std::optional<std::string_view> find_property(std::string_view properties, std::string_view name) {
  while (!properties.empty()) {
    const std::size_t end = std::min(properties.find('\n'), properties.size());
    const std::string_view line = properties.substr(0, end);
    properties.remove_prefix(std::min(end + 1, properties.size()));
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=') {
      return line.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

// The number that the text begins with, after blanks and a sign; nothing when there is none.
std::optional<double> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  if (text.starts_with('+')) text.remove_prefix(text.starts_with("+-") ? text.size() : 1);
  double number = 0;
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault == std::errc::result_out_of_range) {
    // Digits without end, or an exponent beyond what a double holds.
    const std::string_view digits = text.substr(0, static_cast<std::size_t>(rest - text.data()));
    if (digits.starts_with('-')) return -1.0;
    const bool is_tiny = digits.find('-') != std::string_view::npos;  // the sign of its exponent
    return is_tiny ? 0.0 : std::numeric_limits<double>::infinity();
  }
  if (fault != std::errc() || std::isnan(number)) return std::nullopt;
  return number;
}

// Of the `ttl` property in seconds; 0 without one. Nothing when it is no duration.
std::optional<std::int64_t> parse_ttl_ms(std::string_view properties) {
  const auto text = find_property(properties, "ttl");
  if (!text || text->find_first_not_of(blanks) == std::string_view::npos) return 0;
  const auto seconds = leading_number(*text);
  if (!seconds || *seconds < 0) return std::nullopt;
  if (*seconds == 0) return 0;
  if (*seconds >= static_cast<double>(native::max_ttl_ms) / 1000) return native::max_ttl_ms;
  return std::max<std::int64_t>(1, std::llround(*seconds * 1000));
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

std::variant<ClientWrite, Rejection> parse_write(Dialect dialect,
                                                 std::span<const std::string_view> frames) {
  if (frames.size() != frame_count(dialect)) return Rejection{"frame_count"};
  const std::string_view key = frames.front();
  const std::string_view value = frames.back();
  if (const auto fault = keyspace::check_key(key); fault != keyspace::KeyFault::none) {
    return Rejection{keyspace::to_reason(fault)};
  }
  if (value.size() > base::max_value_bytes) return Rejection{"value_too_long"};
  ClientWrite result{
      .write = {.key = std::string(key), .value = std::string(value), .deletes = value.empty()}};
  if (dialect == Dialect::kvsimple) return result;

  Write& write = result.write;
  const std::string_view uuid = frames[2];
  const std::string_view properties = frames[3];
  const auto ttl_ms = parse_ttl_ms(properties);
  if (!ttl_ms) result.ignored = "ttl_malformed";
  write.ttl_ms = ttl_ms.value_or(0);
  if (uuid.size() <= base::max_uuid_bytes) {
    write.uuid = uuid;
  } else {
    result.ignored = "uuid_too_long";
  }
  if (properties.size() <= base::max_properties_bytes) {
    write.properties = properties;
  } else {
    result.ignored = "properties_too_long";
  }
  // A chp client publishes to its primary and its backup at once.
  write.once = dialect == Dialect::chp && !write.uuid.empty();
  return result;
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
