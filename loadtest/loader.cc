#include "loadtest/loader.h"

#include <poll.h>

#include <nlohmann/json.hpp>

#include "loadtest/measure/child.h"
#include "loadtest/measure/clock.h"
#include "loadtest/measure/session_client.h"
#include "loadtest/measure/stamp.h"
#include "loadtest/native_client.h"
#include "loadtest/worker_pool.h"

namespace canopy::loadtest {
namespace {

enum class Task : std::uint32_t { load, unload };
constexpr std::uint32_t loader_id = UINT32_MAX;  // no client has it
constexpr std::size_t max_open = 2048;           // writes that wait for an answer
constexpr base::Duration load_timeout = std::chrono::minutes(2);

class Loader final : public measure::SessionClient {
 public:
  Loader(const WorkerPlan& plan, Task task, net::Connections& server)
      : SessionClient(
            server,
            native_settings(plan.target, plan.run, loader_id, static_cast<std::uint32_t>(task)),
            plan.target.keys),
        plan_(plan),
        task_(task),
        next_(plan.layout.publishers()) {}

  std::string run() {
    loop().on_turn_end([this] { write(); });
    loop().after(load_timeout, [this] { end("the cluster does not acknowledge them"); });
    start();
    loop().run();
    return error_;
  }

 private:
  void end(const std::string& error) {
    error_ = error;
    loop().stop();
  }

  void write() {
    if (answered_ == plan_.layout.writers() - plan_.layout.publishers()) return loop().stop();
    for (; next_ < plan_.layout.writers() && open_ < max_open; ++next_, ++open_) {
      wire::Write write{.key = plan_.layout.key(next_), .deletes = task_ == Task::unload};
      if (task_ == Task::load) {
        write.value.assign(static_cast<std::size_t>(plan_.options.payload_bytes), '.');
        measure::write_stamp(write.value.data(), {.run = measure::run_of(plan_.run),
                                                  .publisher = next_,
                                                  .counter = 1,
                                                  .sent_us = measure::now_us()});
      }
      std::vector<wire::Write> writes;
      writes.push_back(std::move(write));
      session().write(next_, std::move(writes), loop().now(), load_timeout);
    }
  }

  void answered(client::CallId call, client::Answer answer) override {
    const auto writer = static_cast<std::uint32_t>(call);
    --open_;
    ++answered_;
    if (!answer.ok()) end(plan_.layout.key(writer) + ": " + answer.text);
    if (task_ == Task::load) plan_.acks.acknowledge(writer, 1);
  }

  const WorkerPlan& plan_;
  const Task task_;
  std::uint32_t next_;
  std::size_t open_ = 0;
  std::uint32_t answered_ = 0;
  std::string error_;
};

std::string run_task(const WorkerPlan& plan, Task task) {
  const measure::MachineClock clock;
  net::Loop loop(clock);
  net::Connections server(loop);
  return Loader(plan, task, server).run();
}

base::Status run_loader(const WorkerPlan& plan, Task task) {
  if (plan.target.natives.empty()) {
    return base::Error{"--keys-loaded: no proxy speaks the native protocol"};
  }
  auto [ours, theirs] = Channel::make();
  auto child = measure::Child::fork("loadtest-load", [&plan, task, &end = theirs] {
    end.send({{"error", run_task(plan, task)}});
    return 0;
  });
  if (!child) return base::Error{child.error()};
  while (!interrupted()) {
    if (const auto answer = ours.receive()) {
      const auto error = answer->value("error", "");
      return error.empty() ? base::Status() : base::Error{"--keys-loaded: " + error};
    }
    if (!child->running()) return base::Error{"--keys-loaded: the loader died"};
    pollfd item{ours.fd(), POLLIN, 0};
    ::poll(&item, 1, 200);
  }
  return base::Error{"interrupted"};
}

}  // namespace

base::Status load_keys(const WorkerPlan& plan) { return run_loader(plan, Task::load); }

base::Status unload_keys(const WorkerPlan& plan) { return run_loader(plan, Task::unload); }

}  // namespace canopy::loadtest
