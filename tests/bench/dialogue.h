// The subset of each server's protocol that publishes updates of a fixed size and subscribes to
// them. Pure; not thread-safe.
//
// An update is a key of 13 bytes, a sequence of 8 and a body of 100: three frames in ZeroMQ. For
// the other servers it is one message of 121 bytes on one channel, which is the least work for
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace canopy::bench {

enum class Protocol { zmq, native, native_lz4, redis, nats, mqtt, plain };
std::optional<Protocol> parse_protocol(std::string_view name);

inline constexpr std::size_t body_bytes = 100;
// A body opens with a measure::Stamp of this run, whose sent_us is when the update was due.
inline constexpr std::uint32_t bench_run = 1;
inline constexpr std::string_view subtree = "/bench/";

// "/bench/000042"
std::string key_of(std::uint32_t client);

// The bytes of one update on the wire, and the offset of its body.
struct Record {
  std::string bytes{};
  std::size_t body = 0;
};
// One update from a publisher (native publishes by zmq), and to a subscriber (native: varies).
Record published(Protocol protocol, std::string_view key);
Record delivered(Protocol protocol);

// How a connection begins: the client sends a step and waits for the whole answer to it before the
// next. (libzmq closes a connection that sends all steps at once.)
class Opening {
 public:
  struct Step {
    std::string request{};
    // The length of the answer; nothing while it is incomplete.
    std::optional<std::size_t> (*answer)(std::string_view received) = nullptr;
  };

  Opening() = default;
  explicit Opening(std::vector<Step> steps) : steps_(std::move(steps)) {}

  // What to send first.
  std::string begin();
  // What to send after `data` was received.
  std::string on_data(std::string_view data);
  bool done() const { return step_ == steps_.size(); }
  // The bytes received after the answers.
  const std::string& rest() const { return received_; }

 private:
  std::vector<Step> steps_{};
  std::size_t step_ = 0;
  std::string received_{};
};

Opening publisher_opening(Protocol protocol, std::string_view zmq_socket);
// `topic`: the subscription of zmq, the subtree of the native protocol.
Opening subscriber_opening(Protocol protocol, std::uint32_t client, std::string_view topic);

// A nats-server sends pings, which its client must answer.
inline constexpr std::string_view nats_ping = "PING\r\n";
inline constexpr std::string_view nats_pong = "PONG\r\n";

}  // namespace canopy::bench
