// Owns a shard's Storage on a thread of its own, so that no disk keeps the loop waiting.
//
// Everything that was submitted since the last write goes into the next one: one sync serves all
// partitions. What cannot be written is tried again every second, in its order, and nothing is
// passed over; meanwhile submissions queue up. Their bound is the caller's: see full().
//
// All calls come from the loop's thread, and all answers go there, none after the destructor.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/base/clock.h"
#include "core/net/loop.h"
#include "shard/storage.h"

namespace canopy::shard {

class StorageThread {
 public:
  static constexpr std::size_t max_queued_bytes = std::size_t{64} << 20;

  struct Settings {
    bool retain = true;
    // Zero: what is told to be stored is synced. Else entries are told to be stored once a crash of
    // this process cannot take them back, and are synced at least this often: what a failure of the
    // machine can lose. Everything else is synced always.
    base::Duration sync_interval{0};
    bool create = true;  // else a copy that is not there has no identity, and is not opened
  };
  struct Condition {
    std::string trouble{};  // why nothing is written by now; empty: it is
    bool low = false;       // there is no room for what grows the state

    bool operator==(const Condition&) const = default;
  };
  struct Events {
    // All operations of the partition up to this ticket last, as its settings say.
    std::function<void(const std::string& partition, std::uint64_t ticket)> stored{};
    std::function<void(const Condition&)> changed{};
  };
  template <typename Result>
  using Done = std::function<void(Result)>;

  StorageThread(std::unique_ptr<Storage> storage, net::Loop& loop, Events events);
  // Writes what was submitted; gives up, with a line in the log, what fails once more.
  ~StorageThread();
  StorageThread(const StorageThread&) = delete;
  StorageThread& operator=(const StorageThread&) = delete;

  // See Storage::open_copy(). Operations of a partition are submitted once this has succeeded, or
  // after the Split that makes its copy, with the settings of the partition that is split.
  void open_copy(const std::string& partition, Settings settings,
                 Done<base::Result<Storage::Copy>> done);
  // After what was submitted for the partition.
  void drop_copy(const std::string& partition, Done<base::Status> done);
  void submit(const std::string& partition, std::vector<cluster::Replica::Store> operations);
  // See Storage::backup(). Writes go on meanwhile; one at a time.
  void backup(const std::string& path, Done<base::Status> done);

  // What has been submitted and is not written yet.
  std::size_t queued_bytes() const { return queued_bytes_; }
  // Whether the caller should take nothing that leads to more.
  bool full() const { return queued_bytes() >= max_queued_bytes; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Write {
    Storage::Operations operations{};
    std::size_t bytes = 0;
  };
  struct Open {
    std::string partition{};
    Settings settings{};
    Done<base::Result<Storage::Copy>> done{};
  };
  struct Drop {
    std::string partition{};
    Done<base::Status> done{};
  };
  using Task = std::variant<Write, Open, Drop>;
  // Of the loop's thread.
  struct Listener {
    Events events{};
    bool gone = false;
  };

  void add(Task task);
  void answer(std::function<void(const Events&)> call);
  // The rest is of the own thread.
  void run();
  std::vector<Task> wait_for_tasks(bool& stop);
  void perform(Write& task);
  void perform(Open& task);
  void perform(Drop& task);
  void write_gathered();
  bool must_sync(const Storage::Operations& group) const;
  void sync_if_due();
  bool succeed(base::Status status);
  void report(const std::string& trouble);

  net::Loop& loop_;
  std::shared_ptr<Listener> listener_;
  std::atomic<std::size_t> queued_bytes_ = 0;

  std::mutex mutex_;  // guards the next three
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  bool stopping_ = false;

  std::unique_ptr<Storage> storage_;
  std::map<std::string, base::Duration> intervals_;  // by partition
  std::vector<Storage::Operations> gathered_;
  std::size_t gathered_bytes_ = 0;
  bool sync_gathered_ = false;
  Time sync_due_ = Time::max();  // of what is written and not synced
  Condition condition_;          // as reported
  bool gave_up_ = false;         // while it was told to stop

  std::atomic<bool> backing_up_ = false;
  std::thread backup_;
  std::thread thread_;
};

}  // namespace canopy::shard
