// The interface of a client protocol: accepted connections and their messages in, updates out. A
// frontend opens no socket: it names its listeners, and the proxy passes it their connections
// (core/net/connection.h). Belongs to the loop's thread.
//
// The way of one update: apply() gathers it; flush() sends all gathered updates when the frontend's
// pacer is due.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/config/cluster.h"
#include "core/keyspace/tree.h"
#include "core/net/connection.h"
#include "core/wire/link.h"
#include "core/wire/member.h"
#include "core/wire/native.h"
#include "core/zmtp/protocol.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"
#include "proxy/pending_updates.h"

namespace canopy::proxy {

// Purpose of a connection. A Clone client has one of each role, a native client one of `updates`.
// Each role admits max_clients connections over all frontends.
enum class Role { snapshot, updates, collector };

// A listening socket that a frontend needs.
struct Opening {
  Role role = Role::updates;
  zmtp::SocketType type = zmtp::SocketType::router;
  config::Endpoint endpoint{};
  std::string dialect{};  // "native", "kvsimple"…; with `label` names it in metrics and logs
  std::string label{};    // "snapshot", "updates", "collector"; of the native protocol "client"
  net::ConnectionEvents* events = nullptr;
  // Bytes in a connection's queue: on_drained() is called at the low mark after the high one.
  std::size_t high_water_bytes = std::size_t{1} << 20;
  std::size_t low_water_bytes = std::size_t{256} << 10;
};

// The services that a proxy gives its frontends.
class Backend {
 public:
  virtual ~Backend() = default;

  // Queues a request for the shard that owns its keys; the fault says why it cannot. If `reply_to`
  // is not empty, Frontend::answer() gets the answer.
  virtual wire::Fault write(wire::RoutedRequest request) = 0;
  // Mirrors every partition that may hold keys under the prefix until the lease is destroyed.
  virtual MirrorLease lease(std::string_view prefix) = 0;
  virtual const Partitions& partitions() const = 0;
  // True when every partition under the prefix can be read.
  virtual bool ready(std::string_view prefix) const = 0;
  // The last stamp given to an update or by next_stamp().
  virtual std::int64_t last_stamp() const = 0;
  // A new stamp, for messages of a frontend other than live updates.
  virtual std::int64_t next_stamp() = 0;

  // Bytes that a connection's queue may hold now: `client_queue_bytes`, or less when all queues
  // together come close to `egress_bytes`.
  virtual std::size_t queue_limit() const = 0;

  // Without security everything is permitted. A refusal is counted and logged; `what` names the
  // refused action.
  virtual bool may_read(const net::Connection& connection, std::string_view prefix,
                        std::string_view what) = 0;
  virtual bool may_write(const net::Connection& connection, std::string_view key) = 0;

  // Whether the client may list and close connections. A refusal is counted and logged.
  virtual bool may_administer(const net::Connection& connection) = 0;
  // All client connections, oldest first.
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
  // Adds the endpoints of its openings, in the order of openings(), to the directory entry.
  virtual void announce(wire::ProxyMember& member,
                        const std::vector<config::Endpoint>& endpoints) const = 0;

  // The directory granted this generation: stamps and stream numbers exceed those of every earlier
  // process of this name. Called again when a later generation replaces it.
  virtual void begin_generation(std::uint32_t) {}
  // Gathers an update that a mirror has applied.
  virtual void apply(const Stamped& stamped) = 0;
  // Updates that wait for flush(), and their bytes.
  virtual std::size_t gathered() const = 0;
  virtual std::size_t gathered_bytes() const = 0;
  // Sends a bounded amount of the gathered updates; true when updates are left.
  virtual bool flush(base::TimePoint now) = 0;
  // Does a turn's work on catch-ups, snapshots and timers. Returns after how long to call it again
  // without an event; nothing: only after an event.
  virtual std::optional<base::Duration> serve(base::TimePoint now) = 0;
  // Called each second.
  virtual void on_heartbeat(base::TimePoint) {}

  // The answer to a write. Frontends ignore answers to requests of other frontends.
  virtual void answer(const wire::Answer&) {}
  // A partition has a new history: the revisions that clients know of it are void.
  virtual void renew(std::size_t) {}
  // A partition has been split: a client that knows `whole` up to `known` knows `part` up to there
  // too. 0: no client knows anything of `part`.
  virtual void divide(std::size_t /*whole*/, std::size_t /*part*/, keyspace::Revision /*known*/) {}
  // Asks clients to move to another proxy within this time. A protocol without such a message does
  // nothing: its clients move when the proxy closes their connections.
  virtual void drain(base::Duration) {}
  // Connections whose clients were asked to move and are still connected.
  virtual std::size_t leaving() const { return 0; }

  // Name, protocol, subscriptions and counters of a connection.
  virtual wire::native::ClientInfo describe(const net::Connection& connection) const = 0;
  // Updates that clients have missed since the start.
  virtual std::uint64_t missed() const = 0;
  // Sets gauges.
  virtual void report() {}
};

}  // namespace canopy::proxy
