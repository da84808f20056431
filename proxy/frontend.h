// One protocol that clients speak to the proxy: accepted connections and their messages in, updates
// out. A frontend opens no socket: it says what is to be listened on, and is called with
// connections (core/net/connection.h), so that tests need no socket.
//
// The way of one update: apply() gathers it, flush() sends what is gathered, when the frontend's
// pacer says so. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/config/cluster.h"
#include "core/coordination/member.h"
#include "core/keyspace/tree.h"
#include "core/net/connection.h"
#include "core/wire/link.h"
#include "core/wire/native.h"
#include "core/zmtp/protocol.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"
#include "proxy/pending_updates.h"

namespace canopy::proxy {

// What a connection is for: a Clone client has one of each, a native client one for `updates`.
// Each role admits max_clients connections over all frontends.
enum class Role { snapshot, updates, collector };

// A listening socket that a frontend wants.
struct Opening {
  Role role = Role::updates;
  zmtp::SocketType type = zmtp::SocketType::router;
  config::Endpoint endpoint{};
  std::string dialect{};  // "native", "kvsimple"…; with `label` names it in metrics and logs
  std::string label{};    // "snapshot", "updates", "collector"; of the native protocol "client"
  net::ConnectionEvents* events = nullptr;
  // Marks of its connections' queues, for on_drained().
  std::size_t high_water_bytes = std::size_t{1} << 20;
  std::size_t low_water_bytes = std::size_t{256} << 10;
};

// What a frontend needs of its proxy.
class Backend {
 public:
  virtual ~Backend() = default;

  // Queues a request for the shard that owns its keys, or says why it cannot be. The answer, if
  // `reply_to` is not empty, comes with Frontend::answer().
  virtual wire::Fault write(wire::RoutedRequest request) = 0;
  // Mirrors what may hold keys under the prefix for as long as the lease is kept.
  virtual MirrorLease lease(std::string_view prefix) = 0;
  virtual const Partitions& partitions() const = 0;
  // Whether the mirrors of everything under the prefix can be read.
  virtual bool ready(std::string_view prefix) const = 0;
  // The last stamp that was given: to an update that was applied, or by next_stamp().
  virtual std::int64_t last_stamp() const = 0;
  // A new one, for what a frontend sends beside updates.
  virtual std::int64_t next_stamp() = 0;

  // Bytes that the queue of one connection may hold at this moment: `client_queue_bytes`, or less
  // when all queues together come close to `egress_bytes`.
  virtual std::size_t queue_limit() const = 0;

  // Without security everything may be done. A refusal is counted and logged; `what` names it.
  virtual bool may_read(const net::Connection& connection, std::string_view prefix,
                        std::string_view what) = 0;
  virtual bool may_write(const net::Connection& connection, std::string_view key) = 0;

  // Whether the client may list connections and end them. A refusal is counted and logged.
  virtual bool may_administer(const net::Connection& connection) = 0;
  // All connections of clients, in their order.
  virtual std::vector<wire::native::ClientInfo> clients() const = 0;
  // False when there is no such connection.
  virtual bool kick(std::uint64_t connection) = 0;

  virtual base::TimePoint now() const = 0;
};

class Frontend {
 public:
  virtual ~Frontend() = default;

  // Called once.
  virtual std::vector<Opening> openings() = 0;
  // The endpoints of its openings, in their order, as clients connect to them: adds them.
  virtual void announce(coordination::ProxyMember& member,
                        const std::vector<config::Endpoint>& endpoints) const = 0;

  // Stamps and streams go on above those of every earlier process of this name. Also called when a
  // later generation replaces one.
  virtual void begin_generation(std::uint32_t) {}
  // An update that a mirror has applied.
  virtual void apply(const Stamped& stamped) = 0;
  // Updates that wait for flush(), and their bytes.
  virtual std::size_t gathered() const = 0;
  virtual std::size_t gathered_bytes() const = 0;
  // Sends what is gathered, a bounded amount: true when some is left.
  virtual bool flush(base::TimePoint now) = 0;
  // Catch-ups, snapshots, what is due by time. How long until this wants to be called again without
  // any event; nothing: not before one.
  virtual std::optional<base::Duration> serve(base::TimePoint now) = 0;
  // Called each second.
  virtual void on_heartbeat(base::TimePoint) {}

  // The answer to a request whose `reply_to` this frontend made; others are ignored.
  virtual void answer(const wire::Answer&) {}
  // A partition has a new history: the revisions that clients know of it mean nothing any more.
  virtual void renew(std::size_t) {}
  // A partition has been split: what clients know of `whole`, up to this revision, they know of
  // `part` from now on. 0: they know nothing yet.
  virtual void divide(std::size_t /*whole*/, std::size_t /*part*/, keyspace::Revision /*known*/) {}
  // Clients are to be elsewhere within this time. A protocol that has no message for it does
  // nothing: its clients notice when the proxy is gone.
  virtual void drain(base::Duration) {}
  // Connections of clients that know of the drain and have not gone yet.
  virtual std::size_t leaving() const { return 0; }

  // Name, protocol, subscriptions and counts of a connection.
  virtual wire::native::ClientInfo describe(const net::Connection& connection) const = 0;
  // Updates that clients missed, so far.
  virtual std::uint64_t missed() const = 0;
  // Sets gauges.
  virtual void report() {}
};

}  // namespace canopy::proxy
