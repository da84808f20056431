// The broker's side of the local coordinator: a ROUTER that drives the directory. On the same
// endpoint it tells native clients (core/wire/native.h) who is in the directory.
//
// Belongs to its loop. A peer that does not read what it is told loses its session; one whose
// connection is away keeps it until its lease ends. Malformed messages are counted and answered.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/access/authority.h"
#include "core/base/log.h"
#include "core/cluster/registry.h"
#include "core/coordination/messages.h"
#include "core/net/loop.h"
#include "core/net/monitor.h"
#include "core/net/socket.h"
#include "core/wire/native.h"

namespace canopy::coordination {

class LocalServer {
 public:
  using Observer = std::function<void(const cluster::Change&)>;
  using Rejected = std::function<void(std::string_view reason)>;
  using Drainer = std::function<bool(const std::string& name)>;
  struct Reload {
    std::vector<std::string> settings{};    // that were changed
    wire::Fault fault = wire::Fault::none;  // not none: what follows is said instead
    std::string text{};
  };
  // Calls `done` once, in this or a later turn.
  using Reloader = std::function<void(std::function<void(Reload)> done)>;

  // Room in the queue of each peer for a whole directory, as a watch of everything asks for.
  static constexpr int usual_queue = 2 * static_cast<int>(cluster::max_directory_keys);

  // `queue`: messages that wait for a peer before it is given up. With `security` only the
  // cluster's own processes may say anything of themselves, clients are told who is there, and
  // admins may ask for more; without, whoever comes may do all.
  struct Security {
    const access::KeyPair& keys;
    const access::Authority& authority;  // outlives the server
  };
  // `record`: what it goes on from, and keeps.
  LocalServer(net::Context& context, net::Loop& loop, base::Duration lease, int queue = usual_queue,
              const Security* security = nullptr,
              cluster::DirectoryRecord record = cluster::DirectoryRecord());
  ~LocalServer();
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  // While a predecessor is still going away, tries for `patience`.
  base::Status bind(const std::string& endpoint, std::chrono::milliseconds patience = {});
  std::string endpoint() const { return socket_.last_endpoint(); }

  // Called with every change of the directory, in order, after it happened.
  void observe(Observer observer) { observer_ = std::move(observer); }
  // Called for every message that is refused unread: "frame_count" or "malformed".
  void on_rejected(Rejected rejected) { rejected_ = std::move(rejected); }
  // Of connections; what the ZapHandler refuses is not among them.
  net::Monitor::Failures take_failed_handshakes() { return monitor_.take_failures(); }
  // Connections that were closed for cause, by reason, since the last call.
  std::map<std::string, std::uint64_t> take_closed() { return monitor_.take_closed(); }

  // Called when a client asks for a process to be drained; says whether there is one to drain.
  void on_drain(Drainer drainer) { drainer_ = std::move(drainer); }

  // Called when a client asks for the configuration to be read again.
  void on_reload(Reloader reloader) { reloader_ = std::move(reloader); }

  // Members, by key, that clients are told of while they do not say anything of themselves.
  void expect(std::map<std::string, std::string> members) { expected_ = std::move(members); }

  const cluster::Registry& directory() const { return registry_; }

 private:
  // How many messages have been counted in each direction.
  struct Link {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
  };

  void hello(const cluster::SessionId& from, const Hello& hello);
  void receive();
  void serve_client(const std::string& peer, std::string_view frame);
  void reply(const std::string& peer, const wire::native::FromBroker& answer);
  bool may(const wire::native::Directory& request) const;
  template <typename AdminRequest>
  bool may(const AdminRequest& request) const;
  bool is_own_process() const;
  void forbid(std::string_view what);
  void log_forbidden(std::string_view what);
  wire::native::FromBroker answer(const wire::native::Directory& request) const;
  wire::native::FromBroker answer(const wire::native::Drain& request) const;
  void reload(const std::string& peer, const wire::native::Reload& request);
  void tick();
  void reject(const cluster::SessionId& from, std::string_view reason, const std::string& why);
  void handle(const cluster::SessionId& from, const Numbered<Request>& request);
  cluster::Effects apply(const cluster::SessionId& from, const Request& request);
  void carry_out(const cluster::Effects& effects);
  net::SendResult send(const cluster::SessionId& to, const Reply& reply);

  net::Loop& loop_;
  const access::Authority* authority_;  // null: no security
  cluster::Registry registry_;
  net::Socket socket_;
  net::Monitor monitor_;
  net::Message message_;
  net::Loop::TimerId timer_ = 0;
  base::TimePoint last_tick_;
  std::map<cluster::SessionId, Link> links_;
  std::map<std::string, std::string> expected_;
  Observer observer_;
  Rejected rejected_;
  Drainer drainer_;
  Reloader reloader_;
  base::log::RateLimited strange_;
  base::log::RateLimited refused_;
  base::log::RateLimited forbidden_;
};

}  // namespace canopy::coordination
