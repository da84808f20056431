#include "core/zmtp/command.h"

#include <algorithm>
#include <cctype>

namespace canopy::zmtp {
namespace {

// Names of properties are compared without regard to case (RFC 23).
bool same_property(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

// `value` is shorter than 256 bytes.
void append_property(std::string& data, std::string_view property, std::string_view value) {
  data += static_cast<char>(property.size());
  data += property;
  data.append(3, '\0');
  data += static_cast<char>(value.size());
  data += value;
}

}  // namespace

std::optional<Command> parse_command(std::string_view body) {
  if (body.empty()) return std::nullopt;
  const auto name_bytes = static_cast<std::uint8_t>(body[0]);
  if (name_bytes == 0 || body.size() < 1u + name_bytes) return std::nullopt;
  return Command{.name = body.substr(1, name_bytes), .data = body.substr(1u + name_bytes)};
}

std::string make_command(std::string_view name, std::string_view data) {
  std::string body(1, static_cast<char>(name.size()));
  body += name;
  body += data;
  return body;
}

std::optional<Metadata> parse_metadata(std::string_view data) {
  Metadata metadata;
  bool typed = false;
  while (!data.empty()) {
    const auto name_bytes = static_cast<std::uint8_t>(data[0]);
    constexpr std::size_t size_bytes = 4;
    if (name_bytes == 0 || data.size() < 1u + name_bytes + size_bytes) return std::nullopt;
    const std::string_view property = data.substr(1, name_bytes);
    data.remove_prefix(1u + name_bytes);
    std::uint64_t value_bytes = 0;
    for (const char byte : data.substr(0, size_bytes)) {
      value_bytes = value_bytes << 8 | static_cast<std::uint8_t>(byte);
    }
    data.remove_prefix(size_bytes);
    if (data.size() < value_bytes) return std::nullopt;
    const std::string_view value = data.substr(0, static_cast<std::size_t>(value_bytes));
    data.remove_prefix(value.size());
    if (same_property(property, "Socket-Type")) {
      const auto type = parse_socket_type(value);
      if (!type) return std::nullopt;
      metadata.socket_type = *type;
      typed = true;
    } else if (same_property(property, "Identity")) {
      if (value.size() > max_routing_id_bytes) return std::nullopt;
      metadata.routing_id = value;
    }
  }
  if (!typed) return std::nullopt;
  return metadata;
}

std::string make_metadata(SocketType type, std::string_view routing_id) {
  std::string data;
  append_property(data, "Socket-Type", name(type));
  if (!routing_id.empty()) append_property(data, "Identity", routing_id);
  return data;
}

}  // namespace canopy::zmtp
