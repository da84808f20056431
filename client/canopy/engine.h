// What is behind a canopy::Client: a runner, and the callbacks of its user. Internal.
//
// Every public function may be called from any thread. The runner's thread never runs a callback of
// the user, except Options::log.
#pragma once

#include <canopy/error.h>
#include <canopy/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/canopy/callbacks.h"
#include "client/runner.h"

namespace canopy {

class Engine final : private client::Events {
 public:
  // Completed calls whose callbacks wait; further calls are refused as busy.
  static constexpr std::size_t max_callbacks = 65'536;

  struct Request {
    std::function<void(client::Session&, client::CallId, base::TimePoint now)> start;
    std::stop_token stop;
    bool writes = false;
  };
  using Done = std::function<void(client::Answer answer)>;

  Engine(client::Settings settings, const std::optional<access::ClientKeys>& keys,
         const Options& options);
  ~Engine() override;

  Request to_write(std::vector<wire::Write> writes, const CallOptions& options) const;
  Request to_get(std::string_view key, const CallOptions& options) const;
  Request to_list(std::string_view subtree, const ListOptions& options) const;

  // `done` is called once, on the thread of callbacks. Throws Error when too many of them wait.
  void call(Request request, Done done);
  // Waits for the answer. Throws Error unless the call is done.
  client::Answer wait(Request request);
  // Waits until the writes that were started before are answered.
  void flush();
  Stats stats();

  struct Watching {
    client::WatchId id;
    std::shared_ptr<CallbackQueue> callbacks;
  };
  Watching watch(wire::native::Subscription subscription, Watcher watcher,
                 const WatchOptions& options);
  void unwatch(client::WatchId watch);

  // Open calls end as closed. Afterwards no callback runs. Not from a callback.
  void stop();

 private:
  struct Call {
    Done done{};
    bool writes = false;
    std::optional<std::stop_callback<std::function<void()>>> cancel{};
    std::vector<std::shared_ptr<void>> flushes{};  // end when the last call has let them go
  };

  void changed(client::WatchId watch, const client::Change& change) override;
  void synced(client::WatchId watch, const client::Synced& synced) override;
  void missed(client::WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(client::WatchId watch, const client::Answer& why) override;
  void contact(bool present) override;
  void answered(client::CallId call, client::Answer answer) override;

  base::Duration timeout_of(const CallOptions& options) const;
  // Throws std::logic_error on the runner's thread, where only Options::log is called.
  void refuse_own_thread() const;
  void start(Request request, Done done);
  void run_or_post(CallbackQueue::Task task);
  template <typename Callback, typename... Values>
  void post(client::WatchId watch, Callback callback, Values... values);

  const std::chrono::milliseconds timeout_;
  std::atomic<std::uint64_t> next_id_{1};
  const std::shared_ptr<CallbackQueue> callbacks_;  // of calls

  // Of the runner's thread.
  bool contact_ = false;
  std::uint64_t changes_ = 0, contacts_lost_ = 0, merged_ = 0;  // merged_: of watches that ended
  std::unordered_map<client::CallId, Call> calls_;
  std::map<client::WatchId, std::shared_ptr<CallbackQueue>> watches_;
  std::optional<client::Runner> runner_;  // last: its thread uses the others
};

// Of an answer that is not ok.
Error to_error(const client::Answer& answer);

}  // namespace canopy
