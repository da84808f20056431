// The broker at work: the directory, the supervisor and the HTTP side, on one loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/metrics.h"
#include "broker/supervisor.h"
#include "broker/topology.h"
#include "core/base/log.h"
#include "core/coordination/coordinator.h"
#include "core/coordination/local_server.h"
#include "core/metrics/http.h"

namespace canopy::broker {

class Node {
 public:
  // Everything bound and the processes of the file started, or why not. `directory` holds the
  // executables; `say` gets what the person who started the cluster should read, once.
  static base::Result<std::unique_ptr<Node>> start(const config::Cluster& cluster,
                                                   const std::string& directory, net::Loop& loop,
                                                   std::function<void(const std::string&)> say);
  ~Node();

  // TERM and INT: stops the processes, then the loop; the second time, at once. HUP: says what the
  // file asks for by now. CHLD: a process ended.
  void on_signal(int signal);

  const Self& self() const { return self_; }

 private:
  Node(const config::Cluster& cluster, net::Loop& loop,
       std::function<void(const std::string&)> say);
  base::Status open(const std::string& directory);
  void on_change(const cluster::Change& change);
  void tick();
  void publish();
  void greet(const metrics::Checks& checks);
  void reload();

  const config::Cluster& cluster_;
  net::Loop& loop_;
  std::function<void(const std::string&)> say_;
  Metrics metrics_;
  std::unique_ptr<metrics::HttpServer> http_;
  net::Context context_;
  coordination::LocalServer directory_;
  std::unique_ptr<Supervisor> supervisor_;
  Members members_;
  Self self_;
  net::Loop::TimerId timer_ = 0;
  base::TimePoint started_;
  bool dirty_ = true;
  bool greeted_ = false;
  bool warned_ = false;
  bool stopping_ = false;
  base::log::RateLimited strange_;
};

}  // namespace canopy::broker
