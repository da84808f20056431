// What is behind a canopy::Client: a runner, and who is to be told what. Internal.
//
// call(), watch(), unwatch() and stop() may be called from any thread; everything else happens on
// the runner's.
#pragma once

#include <canopy/error.h>
#include <canopy/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/runner.h"

namespace canopy {

class Engine final : private client::Events {
 public:
  using Start = std::function<void(client::Session&, client::CallId, base::TimePoint now)>;
  using Done = std::function<void(client::Answer answer)>;

  // `timeout` is that of each call.
  Engine(client::Settings settings, const std::optional<access::ClientKeys>& keys,
         std::chrono::milliseconds timeout);
  ~Engine() override;

  // Starts a call on the thread; `done` is called there with its answer.
  void call(Start start, Done done);
  // The same, and waits for the answer. Throws std::logic_error on the client's own thread, and
  // Error unless it is done.
  client::Answer wait(Start start);
  // Throws std::logic_error on the client's own thread.
  void refuse_own_thread() const;

  Start to_write(std::vector<wire::Write> writes) const;
  Start to_get(std::string_view key) const;
  Start to_list(std::string_view subtree) const;

  client::WatchId watch(wire::native::Subscription subscription, Watcher watcher);
  void unwatch(client::WatchId watch);

  // Not on the client's own thread.
  void stop() { runner_->stop(); }

 private:
  void changed(client::WatchId watch, const client::Change& change) override;
  void synced(client::WatchId watch, const client::Synced& synced) override;
  void missed(client::WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(client::WatchId watch, const client::Answer& why) override;
  void contact(bool present) override;
  void answered(client::CallId call, client::Answer answer) override;

  // The caller holds it, for a callback may end its own watch.
  std::shared_ptr<const Watcher> watcher(client::WatchId watch) const;

  const base::Duration timeout_;
  std::atomic<std::uint64_t> next_id_{1};
  bool contact_ = false;
  std::unordered_map<client::CallId, Done> calls_;
  std::map<client::WatchId, std::shared_ptr<const Watcher>> watchers_;
  std::optional<client::Runner> runner_;  // last: its thread uses the others
};

// Of an answer that is not ok.
Error to_error(const client::Answer& answer);

}  // namespace canopy
