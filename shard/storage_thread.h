// Runs a shard's Storage on its own thread, so that the loop never waits for a disk. All calls come
// from the loop's thread. Callbacks run there too, none after the destructor.
//
// One write takes everything submitted since the last one: one sync serves all partitions. A failed
// write is repeated every second, in order, while submissions queue up. The caller must respect
// full().
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
    // Zero: operations are synced before stored() is called. Otherwise entries count as stored once
    // a crash of the process cannot lose them, and are synced at least this often: a failure of the
    // machine loses at most this time. Other operations are always synced.
    base::Duration sync_interval{0};
    bool create = true;  // false: a missing copy is not made; `done` gets one without identity
  };
  struct Condition {
    std::string trouble{};  // why writes fail now; empty: they succeed
    bool low = false;       // no disk space for writes that grow the state

    bool operator==(const Condition&) const = default;
  };
  struct Events {
    // Every operation of the partition up to this sequence number is stored, as its Settings say.
    std::function<void(const std::string& partition, std::uint64_t sequence)> stored{};
    std::function<void(const Condition&)> changed{};
  };
  template <typename Result>
  using Done = std::function<void(Result)>;

  StorageThread(std::unique_ptr<Storage> storage, net::Loop& loop, Events events);
  // Writes submitted operations. If that fails once more, it logs the loss and gives up.
  ~StorageThread();
  StorageThread(const StorageThread&) = delete;
  StorageThread& operator=(const StorageThread&) = delete;

  // See Storage::open_copy(). Submit operations of a partition only after this has succeeded, or
  // after the Split that makes its copy. Such a copy has the settings of its parent.
  void open_copy(const std::string& partition, Settings settings,
                 Done<base::Result<Storage::Copy>> done);
  // Runs after the operations submitted for the partition.
  void drop_copy(const std::string& partition, Done<base::Status> done);
  void submit(const std::string& partition, std::vector<cluster::Replica::Store> operations);
  // See Storage::backup(). Writes go on meanwhile. One backup at a time.
  void backup(const std::string& path, Done<base::Status> done);

  // Bytes submitted and not written yet.
  std::size_t queued_bytes() const { return queued_bytes_; }
  // True when the caller must submit nothing further.
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
  // Used by the loop's thread alone.
  struct Listener {
    Events events{};
    bool gone = false;
  };

  void add(Task task);
  void answer(std::function<void(const Events&)> call);
  // The following run on the storage thread.
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

  std::mutex mutex_;  // guards tasks_ and stopping_
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  bool stopping_ = false;

  std::unique_ptr<Storage> storage_;
  std::map<std::string, base::Duration> intervals_;  // by partition
  std::vector<Storage::Operations> gathered_;
  std::size_t gathered_bytes_ = 0;
  bool sync_gathered_ = false;
  Time sync_due_ = Time::max();  // of written operations that are not synced
  Condition condition_;          // last reported
  bool gave_up_ = false;         // after a failed write while stopping

  std::atomic<bool> backing_up_ = false;
  std::thread backup_;
  std::thread thread_;
};

}  // namespace canopy::shard
