#include "loadtest/worker.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "loadtest/clone_client.h"
#include "loadtest/measure/clock.h"
#include "loadtest/native_client.h"
#include "loadtest/schedule.h"
#include "loadtest/worker_report.h"

namespace canopy::loadtest {
namespace {

using nlohmann::json;

constexpr std::int64_t progress_us = 200'000;
constexpr std::int64_t absence_us = measure::second_us;  // between a leave and the next join
constexpr std::int64_t first_publish_us =
    200'000;  // time for the proxy to connect to a chp client's PUB
// Each turn ticks a tenth of the clients, so that each client is ticked ten times a second.
constexpr std::int64_t tick_us = 10'000;
constexpr std::size_t tick_turns = 10;

class Worker {
 public:
  Worker(const WorkerPlan& plan, Channel parent);

  int run();

 private:
  // Runs `act` at that time, unless the client has left by then.
  template <typename Act>
  void schedule(std::int64_t at_us, std::uint32_t index, Act act);
  void on_turn_end();
  void on_parent();

  void join(std::uint32_t index);
  void on_joined(std::uint32_t index);
  void publish(std::uint32_t index);
  void refill(LoadClient& client);
  void count(bool published) { ++(published ? report_.sent : report_.blocked_sends); }
  void churn();
  void tick();

  void begin_window();
  void end_window();
  void report_progress();
  void send_counters();
  std::uint64_t count_converged() const;
  void send_report();

  const WorkerPlan& plan_;
  const Options& options_;
  Channel parent_;
  const Schedule timing_;
  zmq::context_t zmq_;
  const measure::MachineClock clock_;
  net::Loop loop_{clock_};
  ZmqWatcher sockets_{loop_};
  net::Connections server_{loop_};
  Context context_;
  std::vector<std::unique_ptr<LoadClient>> clients_;
  std::vector<std::uint32_t> progress_;  // per client: own updates received, a period ago
  std::vector<bool> joined_;             // per client: on_joined() was called
  WorkerReport report_;
  std::int64_t window_start_us_ = 0;
  std::uint32_t next_to_leave_ = 0;
  std::size_t tick_turn_ = 0;
  bool publishing_ = true;
  bool counted_ = false;  // the counters have been sent
  bool done_ = false;
  std::optional<Outcome> expected_;
};

Worker::Worker(const WorkerPlan& plan, Channel parent)
    : plan_(plan),
      options_(plan.options),
      parent_(std::move(parent)),
      timing_(plan.options, plan.layout.publishers(), plan.start_us),
      zmq_(options_.io_threads,
           static_cast<int>(zmq_sockets(options_, plan.layout.clients() / plan.workers + 1))),
      context_{.options = plan.options,
               .layout = plan.layout,
               .target = plan.target,
               .acks = plan.acks,
               .run = plan.run,
               .loop = loop_,
               .zmq = zmq_,
               .sockets = sockets_,
               .server = server_} {
  loop_.on_readable(parent_.fd(), [this] { on_parent(); });
  for (std::uint32_t id = plan.index; id < plan.layout.clients(); id += plan.workers) {
    const auto index = static_cast<std::uint32_t>(clients_.size());
    if (options_.dialect) {
      clients_.push_back(std::make_unique<CloneClient>(id, index, context_));
    } else {
      clients_.push_back(std::make_unique<NativeClient>(id, index, context_));
    }
    schedule(timing_.join_at(id), index, [this, index] { join(index); });
  }
  progress_.resize(clients_.size());
  joined_.resize(clients_.size());
  loop_.every(base::Duration(progress_us), [this] { report_progress(); });
  loop_.every(base::Duration(tick_us), [this] { tick(); });
  loop_.on_turn_end([this] { on_turn_end(); });
}

template <typename Act>
void Worker::schedule(std::int64_t at_us, std::uint32_t index, Act act) {
  const std::uint32_t incarnation = clients_[index]->incarnation();
  loop_.after(base::Duration(at_us - measure::now_us()), [this, index, incarnation, act] {
    if (clients_[index]->incarnation() == incarnation) act();
  });
}

int Worker::run() {
  loop_.run();
  return done_ ? 0 : 1;
}

// Handles the clients that have received data in this turn.
void Worker::on_turn_end() {
  for (const std::uint32_t index : std::exchange(context_.received, {})) {
    LoadClient& client = *clients_[index];
    client.clear_received();
    if (client.state() != LoadClient::State::joined) continue;
    if (!joined_[index]) on_joined(index);
    if (options_.window > 0) refill(client);
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
      expected_.emplace();
      message->at("counters").get_to(expected_->counters);
      message->at("unacknowledged").get_to(expected_->unacknowledged);
    } else if (type == "finish") {
      send_report();
    }
  }
  if (parent_.closed()) loop_.stop();
}

void Worker::join(std::uint32_t index) {
  LoadClient& client = *clients_[index];
  const std::int64_t now = measure::now_us();
  if (auto joined = client.join(now); !joined) {
    parent_.send({{"type", "error"}, {"error", joined.error()}});
    client.fail();
    return;
  }
  schedule(now + options_.join_timeout_s * measure::second_us, index, [&client] {
    if (client.state() == LoadClient::State::joining) client.fail();
  });
}

void Worker::on_joined(std::uint32_t index) {
  const LoadClient& client = *clients_[index];
  joined_[index] = true;
  ++report_.joins;
  if (client.incarnation() > 0) ++report_.rejoins;
  if (!client.publishes()) return;
  const std::int64_t ready = measure::now_us() + first_publish_us;
  schedule(timing_.next_publish(client.id(), ready), index, [this, index] { publish(index); });
}

void Worker::publish(std::uint32_t index) {
  LoadClient& client = *clients_[index];
  if (!publishing_) return;
  // With a window, this publishes the first update, and one when those in flight are lost.
  const std::uint32_t progress = client.counter() - client.outstanding();
  const bool stalled = std::exchange(progress_[index], progress) == progress;
  if (options_.window == 0 || stalled) count(client.publish());
  schedule(timing_.next_publish(client.id(), measure::now_us()), index,
           [this, index] { publish(index); });
}

void Worker::refill(LoadClient& client) {
  if (!publishing_ || client.counter() == 0) return;
  while (client.outstanding() < static_cast<std::uint32_t>(options_.window)) {
    const bool published = client.publish();
    count(published);
    if (!published) return;
  }
}

// Clients leave in turn and join again after absence_us, at the rate of the first joins. A client
// with unanswered writes does not leave: their result would stay unknown.
void Worker::churn() {
  if (!publishing_) return;
  const auto share = [&](std::uint32_t worker) {
    return static_cast<std::uint32_t>(options_.churn) * worker / plan_.workers;
  };
  std::int64_t back_at = measure::now_us() + absence_us;
  const auto interval =
      static_cast<std::int64_t>(measure::second_us / options_.rate * plan_.workers);
  auto left_to_go = share(plan_.index + 1) - share(plan_.index);
  for (std::size_t tried = 0; left_to_go > 0 && tried < clients_.size(); ++tried) {
    const std::uint32_t index = next_to_leave_++ % static_cast<std::uint32_t>(clients_.size());
    LoadClient& client = *clients_[index];
    if (client.state() != LoadClient::State::joined || client.unanswered() > 0) continue;
    client.leave();
    joined_[index] = false;
    schedule(back_at, index, [this, index] { join(index); });
    back_at += interval;
    --left_to_go;
  }
}

void Worker::tick() {
  const std::int64_t now = measure::now_us();
  tick_turn_ = (tick_turn_ + 1) % tick_turns;
  for (std::size_t i = tick_turn_; i < clients_.size(); i += tick_turns) {
    clients_[i]->tick(now);
  }
}

void Worker::begin_window() {
  window_start_us_ = measure::now_us();
  report_.window_sent = report_.sent;
  report_.window_delivered = context_.recorder.delivered;
  context_.recorder.measuring = true;
  if (options_.churn == 0) return;
  churn();
  loop_.every(std::chrono::seconds(options_.churn_period_s), [this] { churn(); });
}

void Worker::end_window() {
  context_.recorder.measuring = false;
  publishing_ = false;
  report_.window_s = static_cast<double>(measure::now_us() - window_start_us_) / measure::second_us;
  report_.window_sent = report_.sent - report_.window_sent;
  report_.window_delivered = context_.recorder.delivered - report_.window_delivered;
}

void Worker::report_progress() {
  std::uint32_t joined = 0, failed = 0;
  for (const auto& client : clients_) {
    joined += client->state() == LoadClient::State::joined;
    failed += client->state() == LoadClient::State::failed;
  }
  parent_.send({{"type", "progress"},
                {"joined", joined},
                {"failed", failed},
                {"sent", report_.sent},
                {"delivered", context_.recorder.delivered},
                {"converged", count_converged()}});
  if (!publishing_) send_counters();
}

// Sends them once, when all writes have been answered.
void Worker::send_counters() {
  const bool answered = std::all_of(clients_.begin(), clients_.end(),
                                    [](const auto& client) { return client->unanswered() == 0; });
  if (counted_ || !answered) return;
  json counters = json::array(), unacknowledged = json::array();
  for (const auto& client : clients_) {
    if (!client->publishes()) continue;
    counters.push_back({client->id(), client->last_applied()});
    for (const std::uint32_t counter : client->unacknowledged()) {
      unacknowledged.push_back({client->id(), counter});
    }
  }
  parent_.send({{"type", "counters"},
                {"counters", std::move(counters)},
                {"unacknowledged", std::move(unacknowledged)}});
  counted_ = true;
}

std::uint64_t Worker::count_converged() const {
  if (!expected_) return 0;
  return static_cast<std::uint64_t>(
      std::count_if(clients_.begin(), clients_.end(), [&](const auto& client) {
        return client->state() == LoadClient::State::joined &&
               client->ledger().converged(*expected_, plan_.layout.visible_to(client->id()));
      }));
}

void Worker::send_report() {
  if (!expected_) {
    expected_ = {.counters = std::vector<std::uint32_t>(plan_.layout.writers()),
                 .unacknowledged = {}};
  }
  const Recorder& recorder = context_.recorder;
  report_.delivered = recorder.delivered;
  report_.converged = count_converged();
  report_.stats = recorder.stats;
  std::vector<bool> senders(plan_.layout.publishers());
  for (auto& client : clients_) {
    Ledger& ledger = client->ledger();
    if (client->state() == LoadClient::State::joined) {
      const auto& visible = plan_.layout.visible_to(client->id());
      if (ledger.applied() > 0 || ledger.converged(*expected_, visible)) {
        report_.receivers.push_back(client->id());
      }
      for (std::uint32_t i = 0; i < senders.size(); ++i) {
        if (ledger.counter_of(i) > 0) senders[i] = true;
      }
      ledger.finish(*expected_, visible);
    }
    client->add_results(report_.faults, report_.stats);
    if (ledger.faults().lost > 0) ++report_.losing;
  }
  for (std::uint32_t i = 0; i < senders.size(); ++i) {
    if (senders[i]) report_.senders.push_back(i);
  }
  report_.latency = recorder.latency;
  report_.join = recorder.join;
  report_.write = recorder.write;
  report_.all_joined_us = std::max<std::int64_t>(0, recorder.joined_us - plan_.start_us);
  parent_.send({{"type", "report"}, {"report", to_json(report_)}});
  done_ = true;
  loop_.stop();
}

}  // namespace

int run_worker(const WorkerPlan& plan, Channel parent) {
  // Not destroyed: closing thousands of sockets would delay the exit.
  auto* worker = new Worker(plan, std::move(parent));
  return worker->run();
}

}  // namespace canopy::loadtest
