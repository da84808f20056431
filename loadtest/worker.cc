#include "loadtest/worker.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <nlohmann/json.hpp>
#include <queue>

#include "loadtest/client.h"
#include "loadtest/machine.h"
#include "loadtest/schedule.h"
#include "loadtest/worker_report.h"

namespace canopy::loadtest {
namespace {

using nlohmann::json;

constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t progress_us = 200'000;
constexpr std::int64_t absence_us = second_us;      // between a leave and the join that follows
constexpr std::int64_t first_publish_us = 200'000;  // lets a chp publisher's subscriber connect

class Worker {
 public:
  Worker(const WorkerPlan& plan, Channel parent);
  ~Worker() { close(epoll_); }

  int run();

 private:
  enum class Kind : std::uint8_t { join, give_up, publish, churn, progress };
  struct Timer {
    std::int64_t at_us;
    Kind kind;
    std::uint32_t client;  // index into clients_
    std::uint32_t life;    // of the client; void in a later one
    bool operator>(const Timer& other) const { return at_us > other.at_us; }
  };
  // What a watched descriptor is, packed into epoll's 64 bits beside the client's index.
  enum class Source : std::uint32_t { parent, snapshot, updates };

  void watch(int fd, Source source, std::uint32_t client);
  void unwatch(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }
  void schedule(std::int64_t at_us, Kind kind, std::uint32_t client = 0, std::uint32_t life = 0);

  void wait();
  void on_ready(std::uint64_t data);
  void run_timers();
  void on_timer(const Timer& timer);
  void on_parent();

  void join(std::uint32_t index);
  void read_snapshot(std::uint32_t index);
  void read_updates(std::uint32_t index);
  void give_up(std::uint32_t index);
  void publish(std::uint32_t index);
  void churn();

  void begin_window();
  void end_window();
  void report_progress();
  void send_counters();
  std::uint64_t count_converged() const;
  void send_report();

  const WorkerPlan& plan_;
  const Options& options_;
  Channel parent_;
  const ClientSettings settings_;
  const Schedule timing_;
  net::Context context_;
  int epoll_;
  std::deque<Client> clients_;  // never moved: they hold sockets
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::vector<std::uint32_t> unfinished_;  // their updates are to be read again at once
  Recorder recorder_;
  WorkerReport report_;
  std::int64_t window_start_us_ = 0;
  std::uint32_t next_to_leave_ = 0;
  bool publishing_ = true;
  bool done_ = false;
  std::vector<std::uint32_t> expected_;  // final counters of all publishers, once known
};

Worker::Worker(const WorkerPlan& plan, Channel parent)
    : plan_(plan),
      options_(plan.options),
      parent_(std::move(parent)),
      settings_{.run = plan.run,
                .dialect = plan.options.dialect,
                .hwm = plan.options.hwm,
                .payload_bytes = static_cast<std::size_t>(plan.options.payload_bytes)},
      timing_(plan.options, plan.layout.clients(), plan.start_us),
      // Sockets of clients that left may still be sending when they are back: twice as many.
      context_(plan.options.io_threads,
               static_cast<int>(6 * (plan.layout.clients() / plan.workers + 1) + 16)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  watch(parent_.fd(), Source::parent, 0);
  for (std::uint32_t id = plan.index; id < plan.layout.clients(); id += plan.workers) {
    const auto index = static_cast<std::uint32_t>(clients_.size());
    clients_.emplace_back(id, plan.layout, settings_);
    schedule(timing_.join_at(id), Kind::join, index);
  }
  schedule(now_us(), Kind::progress);
}

void Worker::watch(int fd, Source source, std::uint32_t client) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = (static_cast<std::uint64_t>(source) << 32) | client;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

void Worker::schedule(std::int64_t at_us, Kind kind, std::uint32_t client, std::uint32_t life) {
  timers_.push({at_us, kind, client, life});
}

int Worker::run() {
  while (!done_ && !parent_.closed()) {
    wait();
    run_timers();
  }
  return done_ ? 0 : 1;
}

// The descriptors of libzmq tell that a socket's state may have changed and stay readable until it
// has been asked: every handler reads until nothing is left, or puts itself among the unfinished.
void Worker::wait() {
  std::int64_t timeout_us = 0;
  if (unfinished_.empty()) {
    timeout_us = std::clamp<std::int64_t>(timers_.top().at_us - now_us(), 0, second_us);
  }
  std::array<epoll_event, 256> events;
  const int ready =
      epoll_wait(epoll_, events.data(), events.size(), static_cast<int>((timeout_us + 999) / 1000));
  for (int i = 0; i < ready; ++i) {
    on_ready(events[static_cast<std::size_t>(i)].data.u64);
  }
  for (const auto index : std::exchange(unfinished_, {})) read_updates(index);
}

void Worker::on_ready(std::uint64_t data) {
  const auto index = static_cast<std::uint32_t>(data);
  switch (static_cast<Source>(data >> 32)) {
    case Source::parent: return on_parent();
    case Source::snapshot: return read_snapshot(index);
    case Source::updates: return read_updates(index);
  }
}

void Worker::run_timers() {
  const std::int64_t now = now_us();
  while (timers_.top().at_us <= now) {  // never empty: progress is always scheduled
    const Timer timer = timers_.top();
    timers_.pop();
    on_timer(timer);
  }
}

void Worker::on_timer(const Timer& timer) {
  const bool current =
      timer.client < clients_.size() && clients_[timer.client].life() == timer.life;
  switch (timer.kind) {
    case Kind::join: return join(timer.client);
    case Kind::give_up:
      if (current) give_up(timer.client);
      return;
    case Kind::publish:
      if (current) publish(timer.client);
      return;
    case Kind::churn: return churn();
    case Kind::progress: return report_progress();
  }
}

void Worker::on_parent() {
  while (const auto message = parent_.receive()) {
    const auto type = message->at("type").get<std::string>();
    if (type == "measure") {
      begin_window();
    } else if (type == "stop") {
      end_window();
      send_counters();
    } else if (type == "expected") {
      message->at("counters").get_to(expected_);
    } else if (type == "finish") {
      send_report();
    }
  }
}

void Worker::join(std::uint32_t index) {
  Client& client = clients_[index];
  const auto& target = plan_.targets[client.id() % plan_.targets.size()];
  const std::int64_t now = now_us();
  if (auto joined = client.join(context_, target, now); !joined) {
    parent_.send({{"type", "error"}, {"error", joined.error()}});
    client.fail();
    return;
  }
  watch(client.snapshot_fd(), Source::snapshot, index);
  schedule(now + options_.join_timeout_s * second_us, Kind::give_up, index, client.life());
  read_snapshot(index);
}

void Worker::read_snapshot(std::uint32_t index) {
  Client& client = clients_[index];
  if (client.state() != Client::State::joining || !client.read_snapshot(recorder_)) return;
  ++report_.joins;
  if (client.life() > 0) ++report_.rejoins;
  unwatch(client.snapshot_fd());
  watch(client.updates_fd(), Source::updates, index);
  read_updates(index);
  const std::int64_t ready = now_us() + first_publish_us;
  schedule(timing_.next_publish(client.id(), ready), Kind::publish, index, client.life());
}

void Worker::read_updates(std::uint32_t index) {
  Client& client = clients_[index];
  if (client.state() == Client::State::joined && !client.read_updates(recorder_)) {
    unfinished_.push_back(index);
  }
}

void Worker::give_up(std::uint32_t index) {
  Client& client = clients_[index];
  if (client.state() != Client::State::joining) return;
  unwatch(client.snapshot_fd());
  client.fail();
}

void Worker::publish(std::uint32_t index) {
  Client& client = clients_[index];
  if (!publishing_) return;
  ++(client.publish(recorder_) ? report_.sent : report_.blocked_sends);
  schedule(timing_.next_publish(client.id(), now_us()), Kind::publish, index, client.life());
}

// The clients take turns in leaving; each is back after a short absence, at the rate of the ramp.
void Worker::churn() {
  if (!publishing_) return;
  const auto share = [&](std::uint32_t worker) {
    return static_cast<std::uint32_t>(options_.churn) * worker / plan_.workers;
  };
  std::int64_t back_at = now_us() + absence_us;
  const auto interval = static_cast<std::int64_t>(second_us / options_.rate * plan_.workers);
  auto left_to_go = share(plan_.index + 1) - share(plan_.index);
  for (std::size_t tried = 0; left_to_go > 0 && tried < clients_.size(); ++tried) {
    const std::uint32_t index = next_to_leave_++ % static_cast<std::uint32_t>(clients_.size());
    if (clients_[index].state() != Client::State::joined) continue;
    unwatch(clients_[index].updates_fd());
    clients_[index].leave();
    schedule(back_at, Kind::join, index);
    back_at += interval;
    --left_to_go;
  }
  schedule(now_us() + options_.churn_period_s * second_us, Kind::churn);
}

void Worker::begin_window() {
  window_start_us_ = now_us();
  report_.window_sent = report_.sent;
  report_.window_delivered = recorder_.delivered;
  recorder_.measuring = true;
  if (options_.churn > 0) schedule(window_start_us_, Kind::churn);
}

void Worker::end_window() {
  recorder_.measuring = false;
  publishing_ = false;
  report_.window_s = static_cast<double>(now_us() - window_start_us_) / second_us;
  report_.window_sent = report_.sent - report_.window_sent;
  report_.window_delivered = recorder_.delivered - report_.window_delivered;
}

void Worker::report_progress() {
  std::uint32_t joined = 0, failed = 0;
  for (const auto& client : clients_) {
    joined += client.state() == Client::State::joined;
    failed += client.state() == Client::State::failed;
  }
  parent_.send({{"type", "progress"},
                {"joined", joined},
                {"failed", failed},
                {"sent", report_.sent},
                {"delivered", recorder_.delivered},
                {"converged", count_converged()}});
  schedule(now_us() + progress_us, Kind::progress);
}

void Worker::send_counters() {
  json counters = json::array();
  for (const auto& client : clients_) counters.push_back({client.id(), client.counter()});
  parent_.send({{"type", "counters"}, {"counters", std::move(counters)}});
}

std::uint64_t Worker::count_converged() const {
  if (expected_.empty()) return 0;
  return static_cast<std::uint64_t>(
      std::count_if(clients_.begin(), clients_.end(), [&](const Client& client) {
        return client.state() == Client::State::joined &&
               client.ledger().converged(expected_, plan_.layout.visible_to(client.id()));
      }));
}

void Worker::send_report() {
  if (expected_.empty()) expected_.resize(plan_.layout.clients());
  report_.delivered = recorder_.delivered;
  report_.converged = count_converged();
  std::vector<bool> heard(plan_.layout.clients());
  for (auto& client : clients_) {
    Ledger& ledger = client.ledger();
    if (client.state() == Client::State::joined) {
      const auto& visible = plan_.layout.visible_to(client.id());
      if (ledger.applied() > 0 || ledger.converged(expected_, visible)) {
        report_.hearing.push_back(client.id());
      }
      for (std::uint32_t i = 0; i < heard.size(); ++i) {
        if (ledger.counter_of(i) > 0) heard[i] = true;
      }
      ledger.finish(expected_, visible);
    }
    report_.faults += ledger.faults();
    if (ledger.faults().lost > 0) ++report_.losing;
  }
  for (std::uint32_t i = 0; i < heard.size(); ++i) {
    if (heard[i]) report_.heard.push_back(i);
  }
  report_.latency = recorder_.latency;
  report_.join = recorder_.join;
  parent_.send({{"type", "report"}, {"report", to_json(report_)}});
  done_ = true;
}

}  // namespace

int run_worker(const WorkerPlan& plan, Channel parent) {
  // Not destroyed: closing thousands of sockets one by one would only delay the exit.
  auto* worker = new Worker(plan, std::move(parent));
  return worker->run();
}

}  // namespace canopy::loadtest
