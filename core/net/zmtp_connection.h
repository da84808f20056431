// One connection that speaks ZMTP (core/zmtp) over a stream socket, whichever end opened it.
//
// It reads a bounded amount a turn. What is sent is queued and leaves at the end of the turn in one
// gathered write; only after a write that would block does the loop wait for the descriptor to
// become writable. Closing is deferred to the end of the turn: the connection stays valid until
// ConnectionEvents::on_closed() has returned.
//
// Not thread-safe: belongs to the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/net/connection.h"
#include "core/net/descriptor.h"
#include "core/net/loop.h"
#include "core/net/outbound_queue.h"
#include "core/zmtp/peer.h"

namespace canopy::net {

class Connections;
class ZmtpConnection;

struct ConnectionSettings {
  zmtp::Peer::Settings peer{};
  // The first bytes are a PROXY protocol header, of which the peer's address is taken.
  bool proxy_protocol = false;
  // Marks of the queue, for on_drained().
  std::size_t high_water_bytes = std::size_t{1} << 20;
  std::size_t low_water_bytes = std::size_t{256} << 10;
  // In one turn at most; then other connections have theirs.
  std::size_t read_bytes_per_turn = std::size_t{256} << 10;
  std::size_t write_bytes_per_turn = std::size_t{1} << 20;
};

// The listener or connector that made a connection: passes these on to ConnectionEvents.
class ConnectionOwner {
 public:
  virtual void on_ready(ZmtpConnection& connection) = 0;
  // With the turn's end. Frees the connection.
  virtual void on_closed(ZmtpConnection& connection, const std::string& reason) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class ZmtpConnection final : public Connection, private EventHandler, private zmtp::PeerEvents {
 public:
  // `settings`, `owner` and `events` outlive it.
  ZmtpConnection(Connections& connections, const ConnectionSettings& settings,
                 ConnectionOwner& owner, ConnectionEvents& events, Descriptor socket);
  ~ZmtpConnection() override;

  std::uint64_t id() const override { return id_; }
  const std::string& peer() const override { return address_; }
  base::TimePoint since() const override { return since_; }
  bool ready() const override { return ready_; }
  const zmtp::PeerInfo& info() const override { return peer_.info(); }
  bool closing() const override { return closing_; }
  void send(const Buffer& messages) override;
  void send(std::span<const std::string_view> parts) override;
  void send(std::string_view head, const Buffer& body) override;
  std::size_t queued_bytes() const override { return queue_.bytes(); }
  void close(std::string_view reason) override;
  void pause_reading() override { set_reading(false); }
  void resume_reading() override { set_reading(true); }

  // Of a ready SUB or XSUB: what the peer is to publish, or no more.
  void subscribe(std::string_view topic, bool begins);
  // Sends what is queued, at once, and waits for it that long at most: the last thing before the
  // end of the process.
  void finish(std::chrono::milliseconds patience);

 private:
  friend class Connections;

  void on_events(bool readable, bool writable) override;
  void on_ready(const zmtp::PeerInfo& info) override;
  void on_message(std::span<const std::string_view> parts) override;
  void on_subscription(std::string_view topic, bool begins) override;

  void set_reading(bool reading);
  void read_some();
  void receive(std::string_view bytes);
  std::string_view skip_proxy_header(std::string_view bytes);
  void queue_output();
  void queue(std::string_view bytes);
  void note_queued(std::size_t bytes);
  bool send_some(std::size_t budget);
  void flush();
  void update_interest();

  Connections& connections_;
  const ConnectionSettings& settings_;
  ConnectionOwner& owner_;
  ConnectionEvents& events_;
  Descriptor socket_;
  const std::uint64_t id_;
  const base::TimePoint since_;
  std::string address_;
  zmtp::Peer peer_;
  OutboundQueue queue_;
  std::string header_;  // of the PROXY protocol, while it is incomplete
  bool expects_header_ = false;
  bool ready_ = false;
  bool reading_ = true;
  Interest interest_{.readable = true};  // as the loop knows it
  bool blocked_ = false;                 // the last write could not take it all
  bool unsent_ = false;                  // in Connections::unsent_
  bool above_high_water_ = false;        // since then, on_drained() is owed
  bool closing_ = false;
  std::string reason_;
};

}  // namespace canopy::net
