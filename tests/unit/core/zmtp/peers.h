// Hand-made peers of a zmtp::Peer: their bytes, and a recorder of what it tells.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/zmtp/peer.h"

namespace canopy::zmtp {

class Recorder : public PeerEvents {
 public:
  void on_ready(const PeerInfo& info) override { ready.push_back(info); }
  void on_message(std::span<const std::string_view> parts) override {
    messages.emplace_back(parts.begin(), parts.end());
  }
  void on_subscription(std::string_view topic, bool begins) override {
    subscriptions.emplace_back(topic, begins);
  }

  std::vector<PeerInfo> ready;
  std::vector<std::vector<std::string>> messages;
  std::vector<std::pair<std::string, bool>> subscriptions;
};

inline std::string greeting(int minor, std::string mechanism = "NULL") {
  std::string bytes("\xff\0\0\0\0\0\0\0\1\x7f\3", 11);
  bytes += static_cast<char>(minor);
  mechanism.resize(20, '\0');
  bytes += mechanism;
  bytes.resize(64, '\0');
  return bytes;
}

inline std::string frame(std::string_view body, std::uint8_t flags = 0) {
  std::string bytes;
  append_frame(bytes, flags, body);
  return bytes;
}

inline std::string command(std::string_view name, std::string_view data) {
  return frame(make_command(name, data), flag_command);
}

inline std::string property(std::string_view name, std::string_view value) {
  std::string bytes(1, static_cast<char>(name.size()));
  bytes += name;
  bytes.append(3, '\0');
  bytes += static_cast<char>(value.size());
  bytes += value;
  return bytes;
}

inline std::string ready(std::string_view type, std::string_view routing_id = "") {
  return command("READY", property("Socket-Type", type) + property("Identity", routing_id));
}

// What a peer of ZMTP 2.0 opens with.
inline std::string greeting_2(SocketType type, std::string_view routing_id = "") {
  std::string bytes("\xff\0\0\0\0\0\0\0\1\x7f\1", 11);
  bytes += static_cast<char>(type);
  return bytes + frame(routing_id);
}

inline std::string message(std::initializer_list<std::string_view> parts) {
  std::string bytes;
  append_message(bytes, std::span(parts.begin(), parts.size()));
  return bytes;
}

}  // namespace canopy::zmtp
