// The broker's side of the local coordinator: a ROUTER that drives the directory. On the same
// endpoint it answers the native clients' requests to the broker (core/wire/native_broker.h).
// Belongs to its loop.
//
// A process's session is named by the routing id of its DEALER, and outlives its connection until
// the lease ends; that is soon when a process of this machine has closed the connection
// (core/cluster/lease.h). A peer that does not read its messages loses its connection, not its
// session. A client has no session: replies go over the connection of the request. Malformed
// messages are counted and answered.
//
// The server writes the directory's durable changes of a turn of the loop at the end of the turn,
// at once, before it sends any of them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/access/authority.h"
#include "core/base/log.h"
#include "core/cluster/registry.h"
#include "core/coordination/messages.h"
#include "core/net/closings.h"
#include "core/net/connections.h"
#include "core/wire/native_broker.h"

namespace canopy::coordination {

class LocalServer final : private net::ConnectionEvents {
 public:
  using Observer = std::function<void(const cluster::Change&)>;
  using Rejected = std::function<void(std::string_view reason)>;
  using Drainer = std::function<bool(const std::string& name)>;
  struct Reload {
    std::vector<std::string> settings{};    // that were changed
    wire::Fault fault = wire::Fault::none;  // not none: the reply is this fault with `text`
    std::string text{};
  };
  // Why this replica cannot be elected; empty: it can.
  using Elector =
      std::function<std::string(const std::string& partition, const std::string& shard)>;
  // Why this shard cannot write a backup; empty: it gets `order`, a value of backup.h.
  using BackupOrderer =
      std::function<std::string(const std::string& shard, const std::string& order)>;
  // Calls `done` once, in this or a later turn, with why the partition is not placed there; empty:
  // it is.
  using Placer =
      std::function<void(const std::string& partition, const std::vector<std::string>& shards,
                         std::function<void(const std::string& why)> done)>;
  // Calls `done` once, in this or a later turn, with why the subtree cannot be split off; empty:
  // the split is ordered.
  using Splitter = std::function<void(const std::string& subtree,
                                      std::function<void(const std::string& why)> done)>;
  // Calls `done` once, in this or a later turn.
  using Reloader = std::function<void(std::function<void(Reload)> done)>;

  // Bytes; a whole directory fits in the queue of each peer, which a peer may watch.
  static constexpr std::size_t usual_queue_bytes =
      cluster::max_directory_bytes + (std::size_t{64} << 20);

  // With it only the cluster's own processes may register, clients may read the directory, and
  // admins may drain, reload, elect, place and back up. Without it every peer may do everything.
  struct Security {
    const access::KeyPair& keys;
    const access::Authority& authority;  // outlives the server
  };
  // `queue_bytes`: bound of the bytes that wait for a peer, beyond which its connection is closed.
  // `record`: the directory's durable state, which the server continues. `server` outlives this.
  LocalServer(net::Connections& server, base::Duration lease,
              std::size_t queue_bytes = usual_queue_bytes, const Security* security = nullptr,
              cluster::DirectoryRecord record = cluster::DirectoryRecord());
  ~LocalServer() override;
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  // Retries for up to `patience` while a predecessor still holds the address.
  base::Status bind(const std::string& endpoint, std::chrono::milliseconds patience = {});
  const std::string& endpoint() const { return listener_->endpoint(); }

  // Called with every change of the directory, in order, after it happened.
  void observe(Observer observer) { observer_ = std::move(observer); }
  // Called for every refused message, with the reason label of canopy_rejected_total.
  void on_rejected(Rejected rejected) { rejected_ = std::move(rejected); }
  // Called for every connection that was closed for cause.
  void on_closing(net::Closings::Count count) { closings_ = net::Closings(std::move(count)); }
  // Closes the connections of clients of these names, whose permissions have changed. A client that
  // waits for the reply to a reload gets it first.
  void close_clients(std::span<const std::string> names);

  // Called when a client asks for a process to be drained; returns whether that process exists.
  void on_drain(Drainer drainer) { drainer_ = std::move(drainer); }

  // Called when a client asks for a replica to lead despite a loss. If it can, its shard is
  // ordered.
  void on_elect(Elector elector) { elector_ = std::move(elector); }

  // Called when a client asks for a backup of a shard's store.
  void on_backup(BackupOrderer orderer) { backup_orderer_ = std::move(orderer); }

  // Called when a client asks for a partition to be placed on other shards. The directory has every
  // earlier request of processes.
  void on_place(Placer placer) { placer_ = std::move(placer); }

  // Called when a client asks for a subtree to become a partition. The directory has every earlier
  // request of processes.
  void on_split(Splitter splitter) { splitter_ = std::move(splitter); }

  // Called when a client asks for the configuration to be read again.
  void on_reload(Reloader reloader) { reloader_ = std::move(reloader); }

  // A process of this name on this machine has ended: its session need not wait for its lease.
  void process_ended(const std::string& name) { carry_out(registry_.process_ended(name)); }

  // Processes, by key, that clients see in the directory while they have not announced themselves.
  void expect(std::map<std::string, std::string> members) { expected_ = std::move(members); }

  // The value of a key in another directory, for clients and observers here.
  void mirror(const std::string& key, const std::optional<std::string>& value) {
    carry_out(registry_.mirror(key, value));
  }

  // Sets a key without a lease. It is durable when this returns, or the error says why not.
  base::Status keep(const std::string& key, const std::string& value);

  const cluster::Registry& directory() const { return registry_; }

 private:
  // Number of messages in each direction.
  struct Link {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
  };

  // The state of a connection.
  struct Peer final : net::Connection::Attachment {
    cluster::SessionId session{};
    int reloads = 0;       // requested and not yet answered
    bool leaving = false;  // to be closed once they are answered
  };

  void on_ready(net::Connection& connection) override;
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;

  static Peer& peer_of(const net::Connection& connection);
  void register_process(const cluster::SessionId& from, const Register& process,
                        std::uint64_t number);
  void serve_client(net::Connection& connection, std::string_view frame);
  void reply(net::Connection& connection, const wire::native::FromBroker& answer);
  bool may(const net::Connection& connection, const wire::native::Directory& request) const;
  template <typename AdminRequest>
  bool may(const net::Connection& connection, const AdminRequest& request) const;
  bool is_own_process(const net::Connection& connection) const;
  void forbid(const net::Connection& connection, std::string_view what);
  void log_forbidden(const net::Connection& connection, std::string_view what);
  wire::native::FromBroker answer(const wire::native::Directory& request) const;
  wire::native::FromBroker answer(const wire::native::Drain& request) const;
  wire::native::FromBroker answer(const wire::native::Elect& request);
  wire::native::FromBroker answer(const wire::native::Backup& request);
  void carry_out(net::Connection& connection, const wire::native::Reload& request);
  void carry_out(net::Connection& connection, const wire::native::Place& request);
  void carry_out(net::Connection& connection, const wire::native::Split& request);
  template <typename Done>
  std::function<void(const std::string& why)> answers(const net::Connection& connection,
                                                      std::uint64_t request);
  template <typename Answered>
  void carry_out(net::Connection& connection, const Answered& request) {
    reply(connection, answer(request));
  }
  void end_reload(std::uint64_t connection, std::uint64_t request, Reload outcome);
  void tick();
  void reject(const cluster::SessionId& from, std::string_view reason, const std::string& why);
  void handle(const cluster::SessionId& from, const Numbered<Request>& request);
  cluster::Effects apply(const cluster::SessionId& from, const Request& request);
  void carry_out(const cluster::Effects& effects);
  void commit();
  void commit_now();
  void send(const cluster::SessionId& to, const Reply& reply);
  void push(net::Connection& connection, std::string_view frame);

  net::Connections& server_;
  net::Loop& loop_;
  const std::size_t queue_bytes_;
  const access::Authority* authority_;  // null: no security
  std::optional<zmtp::CurveServer> curve_{};
  cluster::Registry registry_;
  net::Loop::TimerId timer_ = 0;
  net::Loop::TimerId commit_timer_ = 0;  // 0: no change is staged
  base::TimePoint last_tick_;
  std::map<cluster::SessionId, std::uint64_t> routes_;  // to connections that are ready
  std::map<cluster::SessionId, Link> links_;
  std::map<std::string, std::string> expected_;
  Observer observer_;
  Rejected rejected_;
  Drainer drainer_;
  Elector elector_;
  BackupOrderer backup_orderer_;
  Placer placer_;
  Splitter splitter_;
  Reloader reloader_;
  net::Closings closings_{[](const net::Closing&) {}};
  base::log::RateLimited strange_;
  base::log::RateLimited refused_;
  base::log::RateLimited forbidden_;
  std::unique_ptr<net::Listener> listener_{};  // once bound
};

}  // namespace canopy::coordination
