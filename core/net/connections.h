// Listening sockets that speak ZMTP (core/zmtp), and the connections of one loop.
//
//   Connections     what connections share: the loop, the bytes queued for all peers, closing
//   Listener        accepts connections, bounds handshakes, counts connections
//   ZmtpConnection  one peer: its handshake, its messages, its outbound queue
//
// Not thread-safe: these classes belong to the loop's thread. Connections outlives the others.
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
#include "core/net/zmtp_connection.h"

namespace canopy::net {

class Closings;
class Listener;

// Shared by accepted and opened connections, also where nothing listens.
class Connections {
 public:
  explicit Connections(Loop& loop);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  Loop& loop() { return loop_; }
  // Bytes waiting to be sent, over all connections.
  std::size_t queued_bytes() const { return queued_bytes_; }
  // Sends what this turn has queued, as its end does: before work that takes long.
  void send_queued();

 private:
  friend class ZmtpConnection;

  void flush();

  Loop& loop_;
  Loop::FlushId flush_id_ = 0;
  std::uint64_t next_id_ = 1;
  std::size_t queued_bytes_ = 0;
  std::vector<char> read_buffer_;
  std::vector<ZmtpConnection*> unsent_;   // have queued something in this turn
  std::vector<ZmtpConnection*> closing_;  // end with this turn
};

// How many connections several listeners hold together. At the limit no listener polls its socket:
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
  StreamAddress address{};
  ConnectionSettings connection{};
  // A peer whose handshake takes longer is disconnected.
  base::Duration handshake = std::chrono::seconds(10);
  int backlog = 1024;
  int send_buffer_bytes = 0;     // of the kernel; 0: its default
  AcceptLimit* limit = nullptr;  // shared with other listeners; null: none
  // Counts and logs the ends of connections, under the listener's name; null: they are not.
  Closings* closings = nullptr;
  std::string name{};
};

// A listener of type SUB subscribes to everything that its peers publish.
class Listener final : private EventHandler, private ConnectionOwner {
 public:
  // `events` outlives the listener.
  Listener(Connections& connections, ListenerSettings settings, ConnectionEvents& events);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  base::Status open(std::chrono::milliseconds patience = {});
  // With the port that a free one turned out to be.
  const std::string& endpoint() const { return endpoint_; }

  std::size_t size() const { return accepted_.size(); }
  // Null when the connection has ended.
  ZmtpConnection* find(std::uint64_t id) const;
  // In no order; `visit` must not close connections.
  void for_each(const std::function<void(Connection&)>& visit) const;

 private:
  friend class AcceptLimit;

  void on_events(bool readable, bool writable) override;
  void on_ready(ZmtpConnection& connection) override;
  void on_closed(ZmtpConnection& connection, const std::string& reason) override;
  void accept_some();
  void update_interest();
  void expire_handshakes();

  Connections& connections_;
  ListenerSettings settings_;
  ConnectionEvents& events_;
  AcceptLimit unlimited_;
  AcceptLimit& limit_;
  Descriptor socket_;
  std::string endpoint_;
  bool accepting_ = false;  // watched by the loop
  bool starved_ = false;    // of descriptors or memory: accepts again after a pause
  std::unordered_map<std::uint64_t, std::unique_ptr<ZmtpConnection>> accepted_;
  // Deadlines of handshakes, ascending, and the ids of their connections.
  std::deque<std::pair<base::TimePoint, std::uint64_t>> handshakes_;
  Loop::TimerId handshake_timer_ = 0;
  Loop::TimerId starved_timer_ = 0;
};

}  // namespace canopy::net
