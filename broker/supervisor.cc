#include "broker/supervisor.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace canopy::broker {
namespace {

namespace log = base::log;

std::string describe(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Supervisor::Supervisor(net::Loop& loop, std::vector<Program> programs, base::Duration drain)
    : loop_(loop), drain_(drain) {
  for (Program& program : programs) children_.push_back({.program = std::move(program)});
}

Supervisor::~Supervisor() {
  loop_.cancel(stop_shards_timer_);
  loop_.cancel(kill_timer_);
  for (const Child& child : children_) {
    loop_.cancel(child.restart);
    if (child.pid == 0) continue;
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }
}

void Supervisor::start() {
  for (Child& child : children_) start(child);
}

void Supervisor::start(Child& child) {
  child.started = loop_.now();
  const auto pid = spawn(child.program);
  if (!pid) return ended(child, pid.error());
  child.pid = *pid;
  log::debug("supervisor", "process started",
             {{"role", child.program.role}, {"name", child.program.name}, {"pid", child.pid}});
}

bool Supervisor::supervises(const Program& program) const {
  return std::ranges::any_of(children_, [&](const Child& child) {
    return child.program.role == program.role && child.program.name == program.name;
  });
}

void Supervisor::add(Program program) {
  if (stopped_) return;
  start(children_.emplace_back(Child{.program = std::move(program)}));
}

void Supervisor::reload() {
  for (const char* role : {"shard", "proxy"}) send(SIGHUP, role);
}

void Supervisor::reap() {
  for (Child& child : children_) {
    int status = 0;
    if (child.pid == 0 || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    child.pid = 0;
    if (exited_) exited_(child.program);
    ended(child, describe(status));
  }
  if (stopped_) advance();
}

void Supervisor::ended(Child& child, const std::string& how) {
  const Program& program = child.program;
  const base::Duration lived = loop_.now() - child.started;
  if (stopped_ || child.drained) {
    log::info("supervisor", "process ended",
              {{"role", program.role}, {"name", program.name}, {"how", how}});
    return;
  }
  const base::Duration delay = child.backoff.next(lived);
  log::warn("supervisor", "process ended, to be started again",
            {{"role", program.role},
             {"name", program.name},
             {"how", how},
             {"lived_ms", base::in_ms(lived)},
             {"restart_in_ms", base::in_ms(delay)}});
  child.restart = loop_.after(delay, [this, &child] {
    if (stopped_) return;
    if (restarted_) restarted_(child.program);
    start(child);
  });
}

bool Supervisor::drain(const std::string& proxy) {
  for (Child& child : children_) {
    if (child.pid == 0 || child.program.role != "proxy" || child.program.name != proxy) continue;
    child.drained = true;
    log::info("supervisor", "draining", {{"name", proxy}, {"pid", child.pid}});
    kill(child.pid, SIGTERM);
    return true;
  }
  return false;
}

void Supervisor::stop(std::function<void()> stopped) {
  if (stopped_) return kill_all();
  stopped_ = std::move(stopped);
  send(SIGTERM, "proxy");
  stop_shards_timer_ = loop_.after(drain_ / 2, [this] { stop_shards(); });
  kill_timer_ = loop_.after(drain_, [this] { kill_all(); });
  advance();
}

void Supervisor::advance() {
  if (!any("proxy")) stop_shards();
  const bool all_gone = std::ranges::all_of(children_, [](const Child& c) { return c.pid == 0; });
  if (all_gone && !std::exchange(finished_, true)) stopped_();
}

void Supervisor::stop_shards() {
  if (std::exchange(shards_stopping_, true)) return;
  send(SIGTERM, "shard");
}

void Supervisor::kill_all() {
  for (const Child& child : children_) {
    if (child.pid == 0) continue;
    log::warn("supervisor", "process killed: it did not stop in time",
              {{"role", child.program.role}, {"name", child.program.name}});
    kill(child.pid, SIGKILL);
  }
}

void Supervisor::send(int signal, const std::string& role) {
  for (const Child& child : children_) {
    if (child.pid != 0 && child.program.role == role) kill(child.pid, signal);
  }
}

bool Supervisor::any(const std::string& role) const {
  return std::ranges::any_of(
      children_, [&](const Child& child) { return child.pid != 0 && child.program.role == role; });
}

std::set<std::string> Supervisor::drained() const {
  std::set<std::string> names;
  for (const Child& child : children_) {
    if (child.drained) names.insert(child.program.name);
  }
  return names;
}

pid_t Supervisor::pid(const std::string& role, const std::string& name) const {
  for (const Child& child : children_) {
    if (child.program.role == role && child.program.name == name) return child.pid;
  }
  return 0;
}

}  // namespace canopy::broker
