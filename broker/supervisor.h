// Keeps the processes of this machine running: starts them, restarts a process that ends, and stops
// all in order. Proxies stop first, so that shards outlive the proxies that write to them.
//
// Belongs to its loop; call reap() after every SIGCHLD. Its destructor kills the remaining
// processes.
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

  // Sets the callback after each restart of a process.
  void on_restart(Restarted restarted) { restarted_ = std::move(restarted); }

  // Sets the callback after each end of a process.
  void on_exit(Exited exited) { exited_ = std::move(exited); }

  void start();

  // Collects the ended processes. Call it after a SIGCHLD.
  void reap();

  bool supervises(const Program& program) const;
  // Starts one more process, unless stop() was called.
  void add(Program program);
  // Sends HUP to every running process.
  void reload();
  // The time limit of the next stop().
  void set_drain(base::Duration drain) { drain_ = drain; }

  // Sends TERM to the proxies; when they have ended, or after half of `drain`, TERM to the shards;
  // after the whole `drain`, KILL to the remaining processes. Calls `stopped` once every process
  // has ended. A second call kills at once.
  void stop(std::function<void()> stopped);

  // Sends TERM to a proxy and does not restart it. False when no proxy of this name runs.
  bool drain(const std::string& proxy);

  // The proxies that drain() has stopped or is stopping.
  std::set<std::string> drained() const;

  // 0 while the process does not run.
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
  bool shards_stopping_ = false;
  bool finished_ = false;
  net::Loop::TimerId stop_shards_timer_ = 0;
  net::Loop::TimerId kill_timer_ = 0;
};

}  // namespace canopy::broker
