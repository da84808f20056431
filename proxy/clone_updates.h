// The updates port of a Clone dialect: holds the subscriptions and sends each update to its
// subscribers. Opens no socket. Belongs to the node's loop.
//
// Gathered updates are encoded once for all connections with the same prefixes, in pieces that
// these share. A connection whose queue has no room misses whole updates, which are counted, or is
// closed (`slow_clients`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/net/connection.h"
#include "core/wire/clone.h"
#include "proxy/clone_catch_ups.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"
#include "proxy/pending_updates.h"
#include "proxy/prefix_groups.h"
#include "proxy/recent_cuts.h"

namespace canopy::proxy {

class CloneUpdates final : public net::ConnectionEvents {
 public:
  // A connection that exceeds these is closed.
  static constexpr std::size_t max_prefixes = 100'000;
  static constexpr std::size_t max_prefix_bytes = std::size_t{8} << 20;
  // Upper bounds of one flush; the rest follows in the next turn.
  static constexpr std::size_t flush_updates = 8192;
  static constexpr std::size_t flush_bytes = std::size_t{4} << 20;
  // Encoded bytes before they are queued: of one group, of all groups.
  static constexpr std::size_t piece_bytes = std::size_t{256} << 10;
  static constexpr std::size_t pieces_bytes = std::size_t{8} << 20;

  // All outlive it; `config` may change meanwhile. `high_water`: of the connections' queues, bytes.
  CloneUpdates(wire::clone::Dialect dialect, const config::Proxy& config, Metrics& metrics,
               Backend& backend, RecentCuts& cuts, std::size_t high_water);

  void on_ready(net::Connection& connection) override;
  void on_subscription(net::Connection& connection, std::string_view topic, bool begins) override;
  void on_drained(net::Connection& connection) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;

  void apply(const Stamped& stamped);
  std::size_t gathered() const { return pending_.size(); }
  std::size_t gathered_bytes() const { return pending_.bytes(); }
  // True when updates are left for the next turn.
  bool flush();
  // Sends catch-ups. Returns after how long to call it again.
  std::optional<base::Duration> serve();
  void divide(std::size_t whole, std::size_t part) { catch_ups_.divide(whole, part); }
  // Sends the heartbeat of chp to its subscribers.
  void send_heartbeat();

  std::uint64_t missed() const { return missed_; }
  // Fills in subscriptions and missed updates, if the connection subscribes here.
  void describe(const net::Connection& connection, wire::native::ClientInfo& view) const;

 private:
  struct Subscriber final : net::Connection::Attachment, PrefixGroups::Subscriber {
    explicit Subscriber(net::Connection& own) : connection(own) {}
    net::Connection& connection;
    bool heartbeats = false;  // has subscribed to heartbeats
    std::uint64_t missed = 0;
  };
  // One update in a piece.
  struct Place {
    std::size_t end = 0;  // of its message in the piece
    std::size_t bytes = 0;
    std::size_t shard = 0;
  };
  // The encoded updates of one group.
  struct Piece {
    PrefixGroups::Group* group = nullptr;
    std::string messages{};
    std::vector<Place> places{};
  };

  static Subscriber& of(net::Connection& connection);
  void begin(Subscriber& subscriber, std::string_view topic);
  void encode(const Stamped& update);
  void send(Piece& piece);
  void send_all();
  void deliver(Subscriber& subscriber, const net::Buffer& buffer, const Piece& piece);
  void count_missed(Subscriber& subscriber, std::span<const Place> places);
  void count_delivered(std::span<const Place> places);

  wire::clone::Dialect dialect_;
  const config::Proxy& config_;
  Metrics& metrics_;
  Backend& backend_;
  PrefixGroups groups_;
  CloneCatchUps catch_ups_;
  std::unordered_map<std::uint64_t, Subscriber*> subscribers_;  // by connection
  PendingUpdates pending_;
  std::vector<Piece> pieces_;
  std::size_t pieces_bytes_ = 0;
  std::string encoded_;  // of the update that is being encoded
  std::uint64_t missed_ = 0;
  metrics::Counter& delivered_;
  metrics::Counter& delivered_bytes_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
