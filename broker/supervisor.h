// Keeps the processes of this machine running: starts them, starts again those that end, and in the
// end stops them all, proxies first, so that shards outlive whoever writes to them.
//
// Belongs to its loop, which must tell it of every SIGCHLD. No process may outlive it: a destroyed
// supervisor kills what is left.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "broker/backoff.h"
#include "broker/process.h"
#include "core/net/loop.h"

namespace canopy::broker {

class Supervisor {
 public:
  using Restarted = std::function<void(const Program&)>;
  using Exited = std::function<void(const Program&)>;

  Supervisor(net::Loop& loop, std::vector<Program> programs, base::Duration drain);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Called whenever a process is started again.
  void on_restart(Restarted restarted) { restarted_ = std::move(restarted); }

  // Called whenever a process has ended.
  void on_exit(Exited exited) { exited_ = std::move(exited); }

  void start();

  // After a SIGCHLD: takes note of who ended.
  void reap();

  bool supervises(const Program& program) const;
  // Starts one more, unless everything is being stopped.
  void add(Program program);
  // Has every process that runs read its configuration again.
  void reload();
  // Of the next stop().
  void set_drain(base::Duration drain) { drain_ = drain; }

  // TERM to the proxies; when they are gone, or half of `drain` is over, TERM to the shards; KILL
  // to whoever is left when all of it is over. Then, with every process reaped, calls `stopped`.
  // Called again, it kills at once.
  void stop(std::function<void()> stopped);

  // TERM to a proxy, which is not started again by this supervisor. False when none of this name
  // runs.
  bool drain(const std::string& proxy);

  // The proxies that drain() has stopped, or is stopping.
  std::set<std::string> drained() const;

  // 0 when it does not run.
  pid_t pid(const std::string& role, const std::string& name) const;

 private:
  struct Child {
    Program program;
    Backoff backoff{};
    pid_t pid = 0;
    bool drained = false;
    base::TimePoint started{};
    net::Loop::TimerId restart = 0;
  };

  void start(Child& child);
  void ended(Child& child, const std::string& how);
  void send(int signal, const std::string& role);
  void stop_shards();
  void kill_all();
  void advance();
  bool any(const std::string& role) const;

  net::Loop& loop_;
  std::deque<Child> children_;  // timers refer to them
  base::Duration drain_;
  Restarted restarted_;
  Exited exited_;
  std::function<void()> stopped_;  // set while stopping
  bool shards_told_ = false;
  bool finished_ = false;
  net::Loop::TimerId stop_shards_timer_ = 0;
  net::Loop::TimerId kill_timer_ = 0;
};

}  // namespace canopy::broker
