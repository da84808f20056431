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
#include "core/net/connection.h"
#include "core/net/descriptor.h"
#include "core/net/listen_socket.h"
#include "core/net/loop.h"
#include "core/net/outbound_queue.h"
#include "core/zmtp/peer.h"

namespace canopy::net {

class AcceptedConnection;
class Closings;
class Listener;

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
  friend class AcceptedConnection;
  friend class Listener;

  void flush();

  Loop& loop_;
  Loop::FlushId flush_id_ = 0;
  std::uint64_t next_id_ = 1;
  std::size_t queued_bytes_ = 0;
  std::vector<char> read_buffer_;
  std::vector<AcceptedConnection*> unsent_;   // have queued something in this turn
  std::vector<AcceptedConnection*> closing_;  // end with this turn
};

// How many connections several listeners hold together. At the limit none of them polls its socket;
// further peers wait in the kernel's queues, and open connections stay. Outlives its listeners.
class AcceptLimit {
 public:
  explicit AcceptLimit(std::size_t limit = SIZE_MAX) : limit_(limit) {}
  AcceptLimit(const AcceptLimit&) = delete;
  AcceptLimit& operator=(const AcceptLimit&) = delete;

  void set_limit(std::size_t connections);
  std::size_t limit() const { return limit_; }
  std::size_t open() const { return open_; }
  bool full() const { return open_ >= limit_; }

 private:
  friend class Listener;

  void change(std::size_t open, std::size_t limit);

  std::size_t limit_;
  std::size_t open_ = 0;
  std::vector<Listener*> listeners_;
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
  AcceptLimit* limit = nullptr;  // shared with other listeners; null: none
  // Counts and logs the ends of connections, under the listener's name; null: they are not.
  Closings* closings = nullptr;
  std::string name{};
};

// One of type SUB subscribes to everything that its peers publish.
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

  std::size_t size() const { return connections_.size(); }
  // Null when it is gone.
  AcceptedConnection* find(std::uint64_t id) const;
  // In no order; `visit` must not close connections.
  void for_each(const std::function<void(Connection&)>& visit) const;

 private:
  friend class AcceptLimit;
  friend class AcceptedConnection;
  friend class Server;

  void on_events(bool readable, bool writable) override;
  void accept_some();
  void update_interest();
  void expire_handshakes();
  void destroy(AcceptedConnection& connection);

  Server& server_;
  ListenerSettings settings_;
  ConnectionEvents& events_;
  AcceptLimit unlimited_;
  AcceptLimit& limit_;
  Descriptor socket_;
  std::string endpoint_;
  bool accepting_ = false;  // watched by the loop
  bool starved_ = false;    // of descriptors or memory: tries again after a while
  std::unordered_map<std::uint64_t, std::unique_ptr<AcceptedConnection>> connections_;
  // Whose handshake must be over by when: in the order of accepting, which is that of their ends.
  std::deque<std::pair<base::TimePoint, std::uint64_t>> handshakes_;
  Loop::TimerId handshake_timer_ = 0;
  Loop::TimerId starved_timer_ = 0;
};

class AcceptedConnection final : public Connection, private EventHandler, private zmtp::PeerEvents {
 public:
  AcceptedConnection(Listener& listener, Descriptor socket, std::uint64_t id);
  ~AcceptedConnection() override;

  std::uint64_t id() const override { return id_; }
  const std::string& peer() const override { return address_; }
  base::TimePoint since() const override { return since_; }
  bool ready() const override { return ready_; }
  const zmtp::PeerInfo& info() const override { return peer_.info(); }
  bool closing() const override { return closing_; }
  void send(const Buffer& messages) override;
  void send(std::span<const std::string_view> parts) override;
  std::size_t queued_bytes() const override { return queue_.bytes(); }
  void close(std::string_view reason) override;
  void pause_reading() override { set_reading(false); }
  void resume_reading() override { set_reading(true); }

 private:
  friend class Listener;
  friend class Server;

  void on_events(bool readable, bool writable) override;
  void on_ready(const zmtp::PeerInfo& info) override;
  void on_message(std::span<const std::string_view> parts) override;
  void on_subscription(std::string_view topic, bool begins) override;

  void subscribe_to_all();
  void set_reading(bool reading);
  void read_some();
  void receive(std::string_view bytes);
  std::string_view skip_proxy_header(std::string_view bytes);
  void queue_output();
  void queue(std::string_view bytes);
  void note_queued(std::size_t bytes);
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
};

}  // namespace canopy::net
