// One end of a ZMTP connection as a state machine, whichever end opened it: the peer's bytes in,
// messages and subscriptions out, and the bytes to send. Pure: no socket, no clock; the owner of
// the connection bounds the time that a handshake may take. Not thread-safe.
//
//   signature ─▶ greeting ─▶ handshake ─▶ traffic          ZMTP 3.x, NULL or CURVE (RFC 23, 37, 25)
//            └─▶ type ─▶ routing id ────▶ traffic          ZMTP 2.0 (RFC 15)
//
// The connecting end opens the handshake: READY (NULL) or HELLO (CURVE). The listening end answers.
//
// Subscriptions arrive as messages (2.0, 3.0) or commands (3.1); both are reported alike. PING is
// answered. A fault ends the connection: nothing that follows it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/zmtp/command.h"
#include "core/zmtp/curve_client.h"
#include "core/zmtp/curve_server.h"
#include "core/zmtp/frame.h"
#include "core/zmtp/protocol.h"

namespace canopy::zmtp {

// What the peer announced in the handshake.
struct PeerInfo {
  int major = 0;
  int minor = 0;
  SocketType socket_type = SocketType::pair;
  std::string routing_id{};  // as the peer chose it, which anybody may; empty: none
  std::string user{};        // CURVE: the name that its key is known by
};

// Events of a connection for its owner, from within Peer::receive(). Views end with the call. The
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
    // Of a listening peer; null: NULL, nothing is encrypted; else outlives the Peer.
    const CurveServer* curve = nullptr;
    bool connects = false;
    // Of a connecting one, as `curve`.
    const CurveClient* curve_client = nullptr;
    std::string routing_id{};  // by which a ROUTER may know us; empty: none
  };

  explicit Peer(Settings settings);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // The next bytes of the connection, cut anywhere. `none`, or why the connection must end once
  // output() is sent.
  Fault receive(std::string_view bytes, PeerEvents& events);

  // What is to be sent now: handshake, PONG, ERROR. The caller takes it away.
  std::string& output() { return output_; }

  bool ready() const { return state_ == State::traffic; }
  const PeerInfo& info() const { return info_; }
  // Whether append_message() of frame.h makes what this peer reads: one buffer serves all.
  bool takes_plain() const { return curve_ == nullptr; }

  // A message for this peer, appended to `out`. The peer must be ready.
  void append_message(std::string& out, std::span<const std::string_view> parts);
  // The same of whole messages that append_message() of frame.h has encoded.
  void append_encoded(std::string& out, std::string_view messages);
  // Of our SUB: what the peer is to publish to us, or no more.
  void append_subscription(std::string& out, std::string_view topic, bool begins);

 private:
  static constexpr int our_major = 3;

  enum class State {
    signature,
    greeting,
    type,  // ZMTP 2.0, as the next
    routing_id,
    opening,   // listens: the peer's READY (NULL) or HELLO
    initiate,  // listens, CURVE
    welcome,   // connects, CURVE
    answer,    // connects: the peer's READY
    traffic,
    failed,
  };

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
  void open_handshake();
  void on_hello(std::string_view body);
  void on_initiate(std::string_view body, PeerEvents& events);
  void on_welcome(std::string_view body);
  void on_ready(std::string_view body, PeerEvents& events);
  void get_ready(Fault fault, std::string_view metadata, PeerEvents& events);
  std::string our_metadata() const { return make_metadata(settings_.type, settings_.routing_id); }
  void send_command(std::string_view body) { append_frame(output_, flag_command, body); }
  void send_error(std::string_view reason);
  void on_command(std::string_view body, PeerEvents& events);
  void on_message(std::span<const std::string_view> parts, PeerEvents& events);
  void append_command(std::string& out, std::string_view name, std::string_view data);

  Settings settings_;
  State state_ = State::signature;
  Fault fault_ = Fault::none;
  PeerInfo info_;
  std::optional<CurveServerSession> curve_server_;
  std::optional<CurveClientSession> curve_client_;
  CurveSession* curve_ = nullptr;  // one of them; null: NULL
  std::string waiting_;            // bytes of what is incomplete
  std::string output_;
  std::vector<std::string_view> parts_;  // of the message that is being read
  // CURVE: the parts opened so far, for a frame can be opened only once.
  std::vector<std::string> opened_;
  std::size_t opened_bytes_ = 0;
};

}  // namespace canopy::zmtp
