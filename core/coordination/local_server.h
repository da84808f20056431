// The broker's side of the local coordinator: a ROUTER that drives the directory. On the same
// endpoint it tells native clients (core/wire/native.h) who is in the directory.
//
// A process's session is named by the routing id of its DEALER, and outlives its connection until
// the lease ends: when its process, on this machine, has closed the connection, that is soon
// (core/cluster/lease.h). A peer that does not read what it is told loses the connection alone. A
// client has no session: what it asks is answered over the connection that it asked on. Malformed
// messages are counted and answered. Belongs to its loop.
//
// What the directory must keep of a turn of the loop is written at once, at the end of the turn,
// before anybody is told of it.
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
    wire::Fault fault = wire::Fault::none;  // not none: what follows is said instead
    std::string text{};
  };
  // Why this replica cannot be elected; empty: it can.
  using Elector =
      std::function<std::string(const std::string& partition, const std::string& shard)>;
  // Why this shard cannot be told to write a backup; empty: it is told `order`, a value of
  // backup.h.
  using BackupOrderer =
      std::function<std::string(const std::string& shard, const std::string& order)>;
  // Calls `done` once, in this or a later turn, with why the partition is not placed there; empty:
  // it is.
  using Placer =
      std::function<void(const std::string& partition, const std::vector<std::string>& shards,
                         std::function<void(const std::string& why)> done)>;
  // Calls `done` once, in this or a later turn, with why the subtree is not to be split off; empty:
  // that is ordered.
  using Splitter = std::function<void(const std::string& subtree,
                                      std::function<void(const std::string& why)> done)>;
  // Calls `done` once, in this or a later turn.
  using Reloader = std::function<void(std::function<void(Reload)> done)>;

  // Room in the queue of each peer for a whole directory, as a watch of everything asks for.
  static constexpr std::size_t usual_queue_bytes =
      cluster::max_directory_bytes + (std::size_t{64} << 20);

  // With it only the cluster's own processes may register, clients may read the directory, and
  // admins may drain, reload, elect, place and back up. Without it every peer may do everything.
  struct Security {
    const access::KeyPair& keys;
    const access::Authority& authority;  // outlives the server
  };
  // `queue_bytes`: what waits for a peer before it is given up. `record`: what the server goes on
  // from, and keeps. `server` outlives this.
  LocalServer(net::Connections& server, base::Duration lease,
              std::size_t queue_bytes = usual_queue_bytes, const Security* security = nullptr,
              cluster::DirectoryRecord record = cluster::DirectoryRecord());
  ~LocalServer() override;
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  // While a predecessor is still going away, tries for `patience`.
  base::Status bind(const std::string& endpoint, std::chrono::milliseconds patience = {});
  const std::string& endpoint() const { return listener_->endpoint(); }

  // Called with every change of the directory, in order, after it happened.
  void observe(Observer observer) { observer_ = std::move(observer); }
  // Called for every message that is refused unread: "frame_count" or "malformed".
  void on_rejected(Rejected rejected) { rejected_ = std::move(rejected); }
  // Called for every connection that was closed for cause.
  void on_closing(net::Closings::Count count) { closings_ = net::Closings(std::move(count)); }
  // Closes the connections of clients of these names, whose permissions have changed. One that
  // waits for the answer to a reload gets it first.
  void close_clients(std::span<const std::string> names);

  // Called when a client asks for a process to be drained; says whether there is one to drain.
  void on_drain(Drainer drainer) { drainer_ = std::move(drainer); }

  // Called when a client asks for a replica to lead with what it has. If it can, its shard is told.
  void on_elect(Elector elector) { elector_ = std::move(elector); }

  // Called when a client asks for a backup of a shard's store.
  void on_backup(BackupOrderer orderer) { backup_orderer_ = std::move(orderer); }

  // Called when a client asks for a partition to be placed on other shards. All that processes have
  // asked for before is in the directory.
  void on_place(Placer placer) { placer_ = std::move(placer); }

  // Called when a client asks for a subtree to become a partition, likewise.
  void on_split(Splitter splitter) { splitter_ = std::move(splitter); }

  // Called when a client asks for the configuration to be read again.
  void on_reload(Reloader reloader) { reloader_ = std::move(reloader); }

  // A process of this machine has ended, by its name: its session need not wait for its lease.
  void process_ended(const std::string& name) { carry_out(registry_.process_ended(name)); }

  // Members, by key, that clients are told of while they do not say anything of themselves.
  void expect(std::map<std::string, std::string> members) { expected_ = std::move(members); }

  // What another directory says of a key, for clients and observers here.
  void mirror(const std::string& key, const std::optional<std::string>& value) {
    carry_out(registry_.mirror(key, value));
  }

  // Sets a key that no lease holds; kept when this returns, or why it is not.
  base::Status keep(const std::string& key, const std::string& value);

  const cluster::Registry& directory() const { return registry_; }

 private:
  // How many messages have been counted in each direction.
  struct Link {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
  };

  // What is known of a connection beside what it says itself.
  struct Peer final : net::Connection::Attachment {
    cluster::SessionId session{};
    int reloads = 0;       // asked for and not yet answered
    bool leaving = false;  // to be closed once they are
  };

  void on_ready(net::Connection& connection) override;
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;

  static Peer& peer_of(const net::Connection& connection);
  void hello(const cluster::SessionId& from, const Hello& hello, std::uint64_t number);
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
  net::Loop::TimerId commit_timer_ = 0;  // 0: nothing is staged
  base::TimePoint last_tick_;
  std::map<cluster::SessionId, std::uint64_t> routes_;  // to connections, of those that are ready
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
