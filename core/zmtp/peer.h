// The listening side of one ZMTP connection as a state machine: the peer's bytes in, messages and
// subscriptions out, and the bytes to answer with. Pure: no socket, no clock; who owns the
// connection bounds the time that a handshake may take. Not thread-safe.
//
//   signature ─▶ greeting ─▶ handshake ─▶ traffic          ZMTP 3.x, NULL or CURVE (RFC 23, 37, 25)
//            └─▶ type ─▶ routing id ────▶ traffic          ZMTP 2.0 (RFC 15)
//
// Subscriptions arrive as messages (2.0, 3.0) or commands (3.1); both are told alike. PING is
// answered. A fault ends the connection: nothing that follows it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/zmtp/command.h"
#include "core/zmtp/curve.h"
#include "core/zmtp/frame.h"
#include "core/zmtp/protocol.h"

namespace canopy::zmtp {

// What the handshake told of the peer.
struct PeerInfo {
  int major = 0;
  int minor = 0;
  SocketType socket_type = SocketType::pair;
  std::string routing_id{};  // as the peer chose it, which anybody may; empty: none
  std::string user{};        // CURVE: the name that its key is known by
};

// What a connection tells its owner, from within Peer::receive(). Views end with the call. The
// owner must not destroy the Peer meanwhile.
class PeerEvents {
 public:
  virtual ~PeerEvents() = default;
  // Once, when the handshake is over.
  virtual void on_ready(const PeerInfo& info) = 0;
  // A whole message; not of PUB and XPUB, whose peers send subscriptions.
  virtual void on_message(std::span<const std::string_view> parts) = 0;
  // Of PUB and XPUB. They are neither counted nor deduplicated here.
  virtual void on_subscription(std::string_view topic, bool begins) = 0;
};

class Peer {
 public:
  struct Settings {
    SocketType type = SocketType::router;  // ours
    Limits limits{};
    const CurveServer* curve = nullptr;  // null: NULL, nothing is encrypted; else outlives the Peer
  };

  explicit Peer(const Settings& settings);

  // The next bytes of the connection, cut anywhere. `none`, or why the connection must end once
  // output() is sent.
  Fault receive(std::string_view bytes, PeerEvents& events);

  // What is to be sent now: handshake, PONG, ERROR. The caller takes it away.
  std::string& output() { return output_; }

  bool ready() const { return state_ == State::traffic; }
  const PeerInfo& info() const { return info_; }
  // Whether append_message() of frame.h makes what this peer reads: one buffer serves all.
  bool takes_plain() const { return !curve_; }

  // A message for this peer, appended to `out`. The peer must be ready.
  void append_message(std::string& out, std::span<const std::string_view> parts);
  // The same of whole messages that append_message() of frame.h has encoded.
  void append_encoded(std::string& out, std::string_view messages);
  // Of our SUB: what the peer is to publish to us, or no more.
  void append_subscription(std::string& out, std::string_view topic, bool begins);

 private:
  enum class State { signature, greeting, type, routing_id, hello, initiate, traffic, failed };

  // Each reads what `bytes` begins with: how much of it, 0 while it is incomplete.
  std::size_t read(std::string_view bytes, PeerEvents& events);
  std::size_t read_signature(std::string_view bytes);
  std::size_t read_greeting(std::string_view bytes);
  std::size_t read_type(std::string_view bytes);
  std::size_t read_routing_id(std::string_view bytes, PeerEvents& events);
  std::size_t read_handshake(std::string_view bytes, PeerEvents& events);
  std::size_t read_traffic(std::string_view bytes, PeerEvents& events);
  std::size_t read_sealed(std::string_view body, std::size_t consumed, PeerEvents& events);

  std::size_t fail(Fault fault);
  bool within_limits(const FrameHeader& header, std::size_t parts, std::size_t bytes);
  void on_null_ready(std::string_view body, PeerEvents& events);
  void on_curve(std::string_view body, PeerEvents& events);
  void get_ready(const Metadata& metadata, std::string_view answer, PeerEvents& events);
  void send_error(std::string_view reason);
  void on_command(std::string_view body, PeerEvents& events);
  void on_message(std::span<const std::string_view> parts, PeerEvents& events);
  void append_command(std::string& out, std::string_view name, std::string_view data);

  Settings settings_;
  State state_ = State::signature;
  Fault fault_ = Fault::none;
  PeerInfo info_;
  std::optional<CurveSession> curve_;
  std::string waiting_;  // bytes of what is incomplete
  std::string output_;
  std::vector<std::string_view> parts_;  // of the message that is being read
  // CURVE: the parts opened so far, for a frame can be opened only once.
  std::vector<std::string> opened_;
  std::size_t opened_bytes_ = 0;
};

}  // namespace canopy::zmtp
