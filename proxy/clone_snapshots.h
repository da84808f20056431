// The snapshot port of a Clone dialect: ICANHAZ? in, the state of a prefix and KTHXBAI out. Opens
// no socket. Belongs to the node's loop.
//
// Each snapshot is an exact cut of the mirrors, made when it begins. It is sent as fast as the
// client reads, a bounded number of entries a turn. The requests of a connection are answered one
// after another, and end with the connection. Entries with an empty value are left out: Clone
// clients read an empty value as a deletion.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/keyspace/tree.h"
#include "core/net/connection.h"
#include "core/wire/clone.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"
#include "proxy/recent_cuts.h"
#include "proxy/room.h"

namespace canopy::proxy {

class CloneSnapshots final : public net::ConnectionEvents {
 public:
  static constexpr std::size_t max_requests = 10'000;  // not yet answered
  static constexpr std::size_t max_requests_per_client = 64;
  // Entries examined, sent or left out; the end of a partition counts as one.
  static constexpr std::size_t entries_per_turn = 2000;
  static constexpr std::size_t entries_at_a_time = 250;  // of one snapshot, before the next's turn
  // A snapshot ends without KTHXBAI when the client reads nothing for this long.
  static constexpr base::Duration timeout = std::chrono::seconds(30);

  // All outlive it; `config` may change meanwhile. `high_water`: of the connections' queues, bytes.
  CloneSnapshots(wire::clone::Dialect dialect, const config::Proxy& config, Metrics& metrics,
                 Backend& backend, RecentCuts& cuts, std::size_t high_water);

  void on_ready(net::Connection& connection) override;
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_drained(net::Connection& connection) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;

  // Returns after how long to call it again.
  std::optional<base::Duration> serve();
  // Ends the snapshots of clients that read nothing.
  void expire();

  // Waiting requests and snapshots under way.
  std::size_t size() const { return requests_; }

 private:
  struct Request {
    std::string prefix{};
    MirrorLease lease{};
  };
  struct Snapshot {
    std::string prefix{};
    MirrorLease lease{};
    std::int64_t stamp = 0;                            // of the cut
    std::deque<keyspace::TreeView::Cursor> cursors{};  // the first is the one being sent
    base::TimePoint began{};
    base::TimePoint moved{};
    Room room = Room::available;
  };
  struct Requester final : net::Connection::Attachment {
    explicit Requester(net::Connection& own) : connection(own) {}
    net::Connection& connection;
    std::deque<Request> waiting{};
    std::optional<Snapshot> snapshot{};  // being sent
    bool queued = false;                 // in asking_ or sending_
  };
  using Queue = std::deque<std::uint64_t>;  // of connections

  static Requester& of(net::Connection& connection);
  static void queue(Requester& requester, Queue& where);
  Requester* pop(Queue& from);
  void begin_snapshots();
  void begin(Requester& requester);
  void advance(Requester& requester, std::size_t& budget);
  void finish(Requester& requester, const char* result);
  void count(const char* result, std::size_t requests);

  wire::clone::Dialect dialect_;
  const config::Proxy& config_;
  Metrics& metrics_;
  Backend& backend_;
  RecentCuts& cuts_;
  std::size_t high_water_;
  std::unordered_map<std::uint64_t, Requester*> requesters_;
  Queue asking_;   // connections whose next request waits to begin, oldest first
  Queue sending_;  // connections with room for their snapshot, in turn
  std::size_t requests_ = 0;
  metrics::Gauge& waiting_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
