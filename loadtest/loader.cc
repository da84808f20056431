#include "loadtest/loader.h"

#include <poll.h>

#include <nlohmann/json.hpp>

#include "client/session.h"
#include "client/sockets.h"
#include "loadtest/child.h"
#include "loadtest/crew.h"
#include "loadtest/machine.h"
#include "loadtest/native_client.h"
#include "loadtest/payload.h"

namespace canopy::loadtest {
namespace {

enum class Task : std::uint32_t { load, unload };
constexpr std::uint32_t loader_id = UINT32_MAX;  // no client's
constexpr std::size_t most_open = 2048;          // writes that wait for an answer
constexpr base::Duration load_timeout = std::chrono::minutes(2);

class Loader final : private client::Events {
 public:
  Loader(const WorkerPlan& plan, Task task)
      : plan_(plan),
        task_(task),
        sockets_(server_, session_, plan.target.keys),
        session_(
            native_settings(plan.target, plan.run, loader_id, static_cast<std::uint32_t>(task)),
            sockets_, *this),
        next_(plan.layout.publishers()) {}

  std::string run() {
    loop_.on_turn_end([this] { write(); });
    loop_.after(load_timeout, [this] { end("the cluster does not acknowledge them"); });
    sockets_.start();
    loop_.run();
    return error_;
  }

 private:
  void end(const std::string& error) {
    error_ = error;
    loop_.stop();
  }

  void write() {
    if (answered_ == plan_.layout.writers() - plan_.layout.publishers()) return loop_.stop();
    for (; next_ < plan_.layout.writers() && open_ < most_open; ++next_, ++open_) {
      wire::Write write{.key = plan_.layout.key(next_), .deletes = task_ == Task::unload};
      if (task_ == Task::load) {
        write.value.assign(static_cast<std::size_t>(plan_.options.payload_bytes), '.');
        payload::write(write.value, {.run = payload::run_of(plan_.run),
                                     .publisher = next_,
                                     .counter = 1,
                                     .sent_us = now_us()});
      }
      std::vector<wire::Write> writes;
      writes.push_back(std::move(write));
      session_.write(next_, std::move(writes), loop_.now(), load_timeout);
    }
  }

  void answered(client::CallId call, client::Answer answer) override {
    const auto writer = static_cast<std::uint32_t>(call);
    --open_;
    ++answered_;
    if (!answer.ok()) end(plan_.layout.key(writer) + ": " + answer.text);
    if (task_ == Task::load) plan_.board.acknowledge(writer, 1);
  }
  void changed(client::WatchId, const client::Change&) override {}
  void synced(client::WatchId, const client::Synced&) override {}
  void missed(client::WatchId, std::optional<std::uint64_t>) override {}
  void refused(client::WatchId, const client::Answer&) override {}
  void contact(bool) override {}

  const WorkerPlan& plan_;
  const Task task_;
  const MachineClock clock_;
  net::Loop loop_{clock_};
  net::Server server_{loop_};
  client::Sockets sockets_;
  client::Session session_;
  std::uint32_t next_;
  std::size_t open_ = 0;
  std::uint32_t answered_ = 0;
  std::string error_;
};

base::Status run_loader(const WorkerPlan& plan, Task task) {
  if (plan.target.natives.empty()) {
    return base::Error{"--keys-loaded: no proxy speaks the native protocol"};
  }
  auto [ours, theirs] = Channel::make();
  auto child = Child::fork("loadtest-load", [&plan, task, &end = theirs] {
    end.send({{"error", Loader(plan, task).run()}});
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
