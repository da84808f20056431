// Listening sockets that speak ZMTP (core/zmtp) and the connections they accept, on one loop.
//
//   Server       what listeners share: the loop, the bytes queued for all peers, closing
//   Listener     accepts, bounds handshakes, counts
//   Connection   one accepted peer: its handshake, what it says, what waits to be sent to it
//
// A connection reads a bounded amount a turn. What is sent is queued and leaves at the end of the
// turn in one gathered write; only after a write that would block does the loop wait for the
// descriptor to become writable. Closing is deferred to the end of the turn: a Connection stays
// valid until ConnectionEvents::on_closed() has returned.
//
// Not thread-safe: all of it belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/net/descriptor.h"
#include "core/net/listen_socket.h"
#include "core/net/loop.h"
#include "core/net/outbound_queue.h"
#include "core/zmtp/peer.h"

namespace canopy::net {

class Connection;
class Listener;

// What a listener's connections tell their owner. Handlers may send, close and pause any
// connection.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  virtual void on_ready(Connection& connection) = 0;
  // Views end with the call.
  virtual void on_message(Connection& connection, std::span<const std::string_view> parts) = 0;
  virtual void on_subscription(Connection& connection, std::string_view topic, bool begins) = 0;
  // The queue has been at or above the high-water mark, and is at or below the low one now.
  virtual void on_drained(Connection& connection) = 0;
  // Once for each accepted connection, ready or not. `reason` is a metric label: "peer", "error",
  // "handshake_timeout", a zmtp::Fault or what close() was given.
  virtual void on_closed(Connection& connection, std::string_view reason) = 0;
};

class Server {
 public:
  explicit Server(Loop& loop);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Loop& loop() { return loop_; }
  // Waiting to be sent, over all connections of all listeners.
  std::size_t queued_bytes() const { return queued_bytes_; }
  // Sends what this turn has queued, as its end does: before work that takes long.
  void send_queued();

 private:
  friend class Connection;
  friend class Listener;

  void flush();

  Loop& loop_;
  Loop::FlushId flush_id_ = 0;
  std::uint64_t next_id_ = 1;
  std::size_t queued_bytes_ = 0;
  std::vector<char> read_buffer_;
  std::vector<Connection*> unsent_;   // have queued something in this turn
  std::vector<Connection*> closing_;  // end with this turn
};

struct ListenerSettings {
  ListenAddress address{};
  zmtp::Peer::Settings peer{};
  // A peer whose handshake takes longer is disconnected.
  base::Duration handshake = std::chrono::seconds(10);
  int backlog = 1024;
  // The first bytes of a connection are a PROXY protocol header, of which its address is taken.
  bool proxy_protocol = false;
  int send_buffer_bytes = 0;  // of the kernel; 0: its default
  // Marks of a connection's queue, for on_drained().
  std::size_t high_water_bytes = std::size_t{1} << 20;
  std::size_t low_water_bytes = std::size_t{256} << 10;
  // Of one connection in one turn at most; then the others have theirs.
  std::size_t read_bytes_per_turn = std::size_t{256} << 10;
  std::size_t write_bytes_per_turn = std::size_t{1} << 20;
};

class Listener final : private EventHandler {
 public:
  // `events` outlives the listener.
  Listener(Server& server, ListenerSettings settings, ConnectionEvents& events);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  base::Status open(std::chrono::milliseconds patience = {});
  // With the port that a free one turned out to be.
  const std::string& endpoint() const { return endpoint_; }

  // How many connections may be open; further peers wait in the kernel's queue. Open ones stay.
  void set_limit(std::size_t connections);
  std::size_t size() const { return connections_.size(); }
  // Null when it is gone.
  Connection* find(std::uint64_t id) const;
  // In no order; `visit` must not close connections.
  void for_each(const std::function<void(Connection&)>& visit) const;

 private:
  friend class Connection;
  friend class Server;

  void on_events(bool readable, bool writable) override;
  void accept_some();
  void update_interest();
  void expire_handshakes();
  void destroy(Connection& connection);

  Server& server_;
  ListenerSettings settings_;
  ConnectionEvents& events_;
  Descriptor socket_;
  std::string endpoint_;
  std::size_t limit_ = SIZE_MAX;
  bool accepting_ = false;  // watched by the loop
  bool starved_ = false;    // of descriptors or memory: tries again after a while
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  // Whose handshake must be over by when: in the order of accepting, which is that of their ends.
  std::deque<std::pair<base::TimePoint, std::uint64_t>> handshakes_;
  Loop::TimerId handshake_timer_ = 0;
  Loop::TimerId starved_timer_ = 0;
};

class Connection final : private EventHandler, private zmtp::PeerEvents {
 public:
  // Frees what the owner has attached with it.
  class Attachment {
   public:
    virtual ~Attachment() = default;
  };

  Connection(Listener& listener, Descriptor socket, std::uint64_t id);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Never given to another connection of this process.
  std::uint64_t id() const { return id_; }
  const std::string& peer() const { return address_; }
  base::TimePoint since() const { return since_; }
  // Whether its handshake was over, also when a fault has ended it since.
  bool ready() const { return ready_; }
  const zmtp::PeerInfo& info() const { return peer_.info(); }
  bool closing() const { return closing_; }

  // Whole messages, encoded by zmtp::append_message(): one buffer for any number of connections.
  void send(const Buffer& messages);
  // One message for this connection alone.
  void send(std::span<const std::string_view> parts);
  // Of a listener of type SUB: what the peer is to publish to us.
  void subscribe(std::string_view topic);
  std::size_t queued_bytes() const { return queue_.bytes(); }

  // Ends it with this turn; nothing more is read or sent. The first reason counts.
  void close(std::string_view reason);
  // What the peer sends meanwhile waits in its kernel's buffers and ours; it is lost if the
  // connection breaks.
  void pause_reading() { set_reading(false); }
  void resume_reading() { set_reading(true); }

  void attach(std::unique_ptr<Attachment> attachment) { attachment_ = std::move(attachment); }
  Attachment* attachment() const { return attachment_.get(); }

 private:
  friend class Listener;
  friend class Server;

  void on_events(bool readable, bool writable) override;
  void on_ready(const zmtp::PeerInfo& info) override;
  void on_message(std::span<const std::string_view> parts) override;
  void on_subscription(std::string_view topic, bool begins) override;

  void set_reading(bool reading);
  void read_some();
  void take(std::string_view bytes);
  std::string_view skip_proxy_header(std::string_view bytes);
  void queue_output();
  void note_queued(std::size_t before);
  void flush();
  void update_interest();

  Listener& listener_;
  Server& server_;
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
  bool blocked_ = false;           // the last write could not take it all
  bool unsent_ = false;            // in Server::unsent_
  bool above_high_water_ = false;  // since then, on_drained() is owed
  bool closing_ = false;
  std::string reason_;
  std::unique_ptr<Attachment> attachment_;
};

}  // namespace canopy::net
