// A connection that this process opens, and opens again whenever it ends: the counterpart of
// Listener (connections.h). The loop does the work; a thread resolves names.
//
// Each try connects to one address of the endpoint. A try that fails is followed by the next
// address; after the last one, and after a connection has ended, a pause is drawn from [reconnect,
// 2 × reconnect), so that the peers of a restarted process do not reconnect all at once.
//
// Not thread-safe: belongs to the loop's thread.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/connect_socket.h"
#include "core/net/connections.h"
#include "core/net/zmtp_connection.h"
#include "core/zmtp/curve_client.h"

namespace canopy::net {

struct ConnectorSettings {
  ConnectionSettings connection{};
  std::optional<zmtp::CurveClient> curve{};  // CURVE; then nothing is sent or accepted unencrypted
  int receive_buffer_bytes = 0;              // of the kernel; 0: its default
  base::Duration reconnect = std::chrono::milliseconds(100);
  // Of a try to connect, and of the handshake that follows.
  base::Duration handshake = std::chrono::seconds(3);
  // What the end of the connector may wait to send what is queued.
  std::chrono::milliseconds linger{0};
  bool logs = true;  // handshakes that fail; else the owner logs the reason
};

// The keys that the processes of a cluster share to authenticate each other; null: no encryption.
std::optional<zmtp::CurveClient> curve_client(const access::KeyPair* cluster);

class Connector final : private EventHandler, private ConnectionOwner {
 public:
  // `events` outlives the connector; its calls are of one connection at a time.
  Connector(Connections& connections, ConnectorSettings settings, ConnectionEvents& events);
  ~Connector() override;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // From now on to this endpoint. A connection to another one ends with this turn, and what is
  // queued for it with it.
  base::Status connect(const std::string& endpoint);
  // Ends the connection with this turn, or the tries, until connect() is called again. Nothing more
  // is read or sent.
  void disconnect();

  // The connection on which can be sent; null while there is none.
  Connection* connection() const;

  // Of SUB and XSUB: what the peer is to publish, on this connection and every later one.
  void subscribe(const std::string& topic);
  void unsubscribe(const std::string& topic);

  // What the peer sends meanwhile waits in the kernel's buffers and at the peer. Also of
  // connections that follow.
  void pause_reading();
  void resume_reading();

 private:
  void on_events(bool readable, bool writable) override;
  void on_ready(ZmtpConnection& connection) override;
  void on_closed(ZmtpConnection& connection, const std::string& reason) override;

  void begin();
  void look_up();
  void try_next();
  void give_up_try();
  void establish();
  void retry_later(bool unreachable);
  void end_try();

  Connections& connections_;
  ConnectorSettings settings_;
  ConnectionEvents& events_;
  std::string endpoint_;
  StreamAddress address_;
  std::unique_ptr<Lookup> lookup_;
  std::deque<SocketAddress> untried_;
  Descriptor socket_;  // of the try under way; watched
  std::unique_ptr<ZmtpConnection> connection_;
  std::set<std::string> topics_;
  bool reading_ = true;
  bool renewed_ = false;  // the endpoint has changed: connection_ is of the one before
  Loop::TimerId timer_ = 0;
  base::log::RateLimited log_;
};

}  // namespace canopy::net
