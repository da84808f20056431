// A running broker: the directory, the supervisor and the HTTP server, on one loop. All calls come
// from the loop's thread; the loop outlives it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker/metrics.h"
#include "broker/reload_watch.h"
#include "broker/supervisor.h"
#include "broker/topology.h"
#include "broker/vitals.h"
#include "core/access/authority.h"
#include "core/base/log.h"
#include "core/config/program.h"
#include "core/coordination/coordinator.h"
#include "core/coordination/directory_file.h"
#include "core/coordination/local_server.h"
#include "core/metrics/http.h"

namespace canopy::broker {

class Node {
 public:
  // Binds every listener and starts the processes of the file; an error says why it cannot.
  // `directory` holds the executables. `print` gets ready_text() once, when the cluster is ready.
  static base::Result<std::unique_ptr<Node>> start(config::Start& start,
                                                   const std::string& directory, net::Loop& loop,
                                                   std::function<void(const std::string&)> print);
  ~Node();

  // TERM and INT: stops the processes, then the loop; the second time at once. HUP: applies the
  // changed file and signals the processes to do so. CHLD: a process ended.
  void on_signal(int signal);

  // One line: "6 of 6 processes ready".
  std::string summary() const;

  const Self& self() const { return self_; }

 private:
  Node(config::Start& start, const std::string& directory, net::Loop& loop,
       std::function<void(const std::string&)> print);
  base::Status open();
  base::Status open_directory();
  void serve_admins();
  void mirror_etcd();
  void on_change(const cluster::Change& change);
  void log_record(const cluster::KeyChanged& change) const;
  void tick();
  void serve_clients();
  void publish();
  void publish_status();
  bool drain(const std::string& name);
  std::string elect(const std::string& partition, const std::string& shard);
  std::string order_backup(const std::string& shard, const std::string& order);
  void order_by_etcd(const std::string& key, const std::string& order);
  void place(const std::string& partition, const std::vector<std::string>& shards,
             std::function<void(const std::string& why)> done);
  void split(const std::string& subtree, std::function<void(const std::string& why)> done);
  void set_record(const std::string& partition, const cluster::PartitionRecord& record,
                  std::function<void(const std::string& why)> done);
  void announce_ready(const metrics::Checks& checks);
  using ReloadDone = std::function<void(coordination::LocalServer::Reload)>;
  // A reload that waits until the processes report its outcome.
  struct Reloading {
    ReloadWatch watch;
    coordination::LocalServer::Reload outcome{};  // in the broker itself
    ReloadDone done{};
  };
  void reload(ReloadDone done);
  std::vector<ReloadWatch::Process> processes() const;
  void finish_reloads();
  void apply_config(const config::Cluster& wanted);
  void expect_members(const config::Cluster& cluster);
  void lose(const std::string& name);
  void forget_lost();

  config::Start& start_;
  const config::Cluster& cluster_;  // in start_
  const std::string executables_;
  net::Loop& loop_;
  std::function<void(const std::string&)> print_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Connections server_;
  std::optional<access::Authority> authority_{};       // with security
  std::unique_ptr<coordination::DirectoryFile> file_;  // outlives directory_, which writes it
  std::unique_ptr<coordination::LocalServer> directory_;
  std::unique_ptr<coordination::Coordinator> etcd_;  // null: the broker is the coordinator
  std::map<std::string, std::uint64_t> versions_{};  // of orders and partition records in etcd
  std::unique_ptr<Supervisor> supervisor_;
  Members members_;
  // Expired proxies that the file does not name, and when the broker forgets them.
  std::map<std::string, base::TimePoint> lost_;
  VitalsBook vitals_;
  std::vector<Reloading> reloading_;
  Self self_;
  net::Loop::TimerId timer_ = 0;
  base::TimePoint started_;
  base::TimePoint status_published_{};
  bool dirty_ = true;
  bool grants_ = true;  // the directory can store what it grants
  bool announced_ready_ = false;
  bool warned_ = false;
  bool stopping_ = false;
  base::log::RateLimited refused_log_;
};

}  // namespace canopy::broker
