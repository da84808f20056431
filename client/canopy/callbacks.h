// The callbacks of one watch, or those of a client's calls, run one after another on a thread of
// their own: a callback that blocks holds up no connection, no call and no other watch. Internal.
//
// Thread-safe. Once stop() has returned, no callback runs, and what the callbacks captured is
// destroyed; when a callback itself called stop(), that holds as soon as it returns.
#pragma once

#include <canopy/types.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace canopy {

class CallbackQueue : public std::enable_shared_from_this<CallbackQueue> {
 public:
  using Task = std::function<void()>;

  // Changes go to `watcher`. From `max_bytes` of waiting changes on, a change takes the place of an
  // earlier one of its key: the queue then grows with the keys that change, not with the changes.
  // Watcher::on_gap gets the number of changes that were left out so.
  CallbackQueue(Watcher watcher, std::size_t max_bytes);

  // Starts the thread, unless it runs. Throws std::system_error when there can be none.
  void start();
  // False, and the task remains the caller's, once stopped.
  bool post(Task& task);
  void change(const Change& change);
  enum class Rest { run, drop };
  void stop(Rest rest);

  const Watcher& watcher() const { return watcher_; }
  std::size_t size() const;
  std::size_t bytes() const;
  std::uint64_t merged() const;

 private:
  struct Item {
    Task task{};    // if not empty: this
    Entry entry{};  // else this change
    bool deleted = false;
    bool live = false;

    std::size_t bytes() const;
  };

  void run();
  void run_next(std::unique_lock<std::mutex>& lock);
  void pass(const Item& item) const;

  const std::size_t max_bytes_;

  mutable std::mutex mutex_;  // guards what follows; callbacks run without it
  std::condition_variable changed_;
  Watcher watcher_;  // the callbacks alone belong to the thread
  std::deque<Item> items_;
  std::unordered_map<std::string_view, Item*> last_;  // waiting change of each key
  std::size_t bytes_ = 0;
  std::uint64_t gap_ = 0;  // changes left out that on_gap has not reported
  std::uint64_t merged_ = 0;
  std::thread::id thread_{};
  bool started_ = false;
  bool stopped_ = false;
  bool ended_ = false;
};

}  // namespace canopy
