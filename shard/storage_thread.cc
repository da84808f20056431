#include "shard/storage_thread.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace canopy::shard {
namespace {

using cluster::Replica;

// Period of checking disk space and of repeating a failed write; and bound of the time until
// commits are synced.
constexpr auto tick = std::chrono::seconds(1);
// Bytes of one group, which is encoded as a whole; one larger submission may exceed it.
constexpr std::size_t max_group_bytes = std::size_t{8} << 20;

// Memory beside the encoded bytes.
constexpr std::size_t operation_bytes = 128;
constexpr std::size_t entry_bytes = 128;

std::size_t bytes_of(const Replica::Operation& operation) {
  std::size_t bytes = operation_bytes;
  if (const auto* store = std::get_if<Replica::StoreEntries>(&operation)) {
    for (const auto& entry : store->entries) bytes += entry_bytes + entry.update->encoded().size();
  } else if (const auto* install = std::get_if<Replica::Install>(&operation)) {
    // Shares its values with the replica's tree.
    bytes += entry_bytes * (install->tree.size() + install->requests.size());
  } else if (const auto* split = std::get_if<Replica::Split>(&operation)) {
    bytes += entry_bytes * (split->tree.size() + split->requests.size());
  }
  return bytes;
}

}  // namespace

StorageThread::StorageThread(std::unique_ptr<Storage> storage, net::Loop& loop, Events events)
    : loop_(loop),
      listener_(std::make_shared<Listener>(Listener{.events = std::move(events)})),
      storage_(std::move(storage)),
      thread_([this] { run(); }) {}

StorageThread::~StorageThread() {
  listener_->gone = true;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  if (backup_.joinable()) backup_.join();
}

void StorageThread::open_copy(const std::string& partition, Settings settings,
                              Done<base::Result<Storage::Copy>> done) {
  add(Open{partition, settings, std::move(done)});
}

void StorageThread::drop_copy(const std::string& partition, Done<base::Status> done) {
  add(Drop{partition, std::move(done)});
}

void StorageThread::submit(const std::string& partition, std::vector<Replica::Store> operations) {
  if (operations.empty()) return;
  Write task{.operations = {.partition = partition, .operations = std::move(operations)}};
  for (const auto& store : task.operations.operations) task.bytes += bytes_of(store.operation);
  queued_bytes_ += task.bytes;
  add(std::move(task));
}

void StorageThread::backup(const std::string& path, Done<base::Status> done) {
  if (backing_up_.exchange(true)) {
    return answer([=](const Events&) { done(base::Error{path + ": a backup is under way"}); });
  }
  if (backup_.joinable()) backup_.join();
  backup_ = std::thread([this, path, done = std::move(done)] {
    auto status = storage_->backup(path);
    backing_up_ = false;
    answer([done, status](const Events&) { done(status); });
  });
}

void StorageThread::add(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void StorageThread::answer(std::function<void(const Events&)> call) {
  loop_.post([listener = listener_, call = std::move(call)] {
    if (!listener->gone) call(listener->events);
  });
}

// --- the storage thread -----------------------------------------------------------------------

void StorageThread::run() {
  bool stop = false;
  while (!stop) {
    for (Task& task : wait_for_tasks(stop)) {
      std::visit([this](auto& what) { perform(what); }, task);
    }
    write_gathered();
    if (!gave_up_ && succeed(storage_->check_space())) report({});
    if (stop && sync_due_ != Time::max()) sync_due_ = Time::min();
    sync_if_due();
  }
}

std::vector<StorageThread::Task> StorageThread::wait_for_tasks(bool& stop) {
  const Time until = std::min(sync_due_, std::chrono::steady_clock::now() + tick);
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, until, [this] { return stopping_ || !tasks_.empty(); });
  stop = stopping_;
  return std::exchange(tasks_, {});
}

void StorageThread::perform(Write& task) {
  for (const Replica::Store& store : task.operations.operations) {
    const auto* split = std::get_if<Replica::Split>(&store.operation);
    if (split == nullptr) continue;
    intervals_.emplace(split->entry->key, intervals_.at(task.operations.partition));
  }
  sync_gathered_ |= must_sync(task.operations);
  gathered_bytes_ += task.bytes;
  gathered_.push_back(std::move(task.operations));
  if (gathered_bytes_ >= max_group_bytes) write_gathered();
}

void StorageThread::perform(Open& task) {
  write_gathered();
  if (!task.settings.create) {
    const auto present = storage_->has_copy(task.partition);
    if (present && !*present) {
      return answer([done = std::move(task.done)](const Events&) { done(Storage::Copy()); });
    }
  }
  auto copy = storage_->open_copy(task.partition, task.settings.retain);
  // A failed write has not made the copy: read it again after the retry.
  while (!copy && storage_->failed() && succeed(base::Error{copy.error()})) {
    copy = storage_->open_copy(task.partition, task.settings.retain);
  }
  intervals_[task.partition] = task.settings.sync_interval;
  auto shared = std::make_shared<base::Result<Storage::Copy>>(std::move(copy));
  answer([done = std::move(task.done), shared](const Events&) { done(std::move(*shared)); });
}

void StorageThread::perform(Drop& task) {
  write_gathered();
  auto status = storage_->drop_copy(task.partition);
  if (!status && storage_->failed() && succeed(status)) status = {};
  intervals_.erase(task.partition);
  answer([done = std::move(task.done), status](const Events&) { done(status); });
}

void StorageThread::write_gathered() {
  if (gathered_.empty() || gave_up_) return;
  std::map<std::string, std::uint64_t> sequences;
  auto interval = base::Duration::max();
  for (const auto& group : gathered_) {
    sequences[group.partition] = group.operations.back().sequence;
    const base::Duration own = intervals_.at(group.partition);
    interval = std::min(interval, own.count() > 0 ? own : tick);
  }
  const bool sync = std::exchange(sync_gathered_, false);
  const bool written = succeed(storage_->write(std::exchange(gathered_, {}), sync));
  queued_bytes_ -= std::exchange(gathered_bytes_, 0);
  if (!written) return;
  sync_due_ = sync ? Time::max() : std::min(sync_due_, std::chrono::steady_clock::now() + interval);
  answer([sequences = std::move(sequences)](const Events& events) {
    for (const auto& [partition, sequence] : sequences) events.stored(partition, sequence);
  });
}

bool StorageThread::must_sync(const Storage::Operations& group) const {
  const bool always = intervals_.at(group.partition).count() == 0;
  return std::ranges::any_of(group.operations, [&](const Replica::Store& store) {
    if (std::holds_alternative<Replica::Commit>(store.operation)) return false;
    return always || !std::holds_alternative<Replica::StoreEntries>(store.operation);
  });
}

void StorageThread::sync_if_due() {
  if (std::chrono::steady_clock::now() < sync_due_) return;
  sync_due_ = Time::max();
  succeed(storage_->sync());
}

// Repeats a write that ended with `status` until it succeeds. False when the thread must stop
// before.
bool StorageThread::succeed(base::Status status) {
  while (!status) {
    report(status.error());
    std::unique_lock lock(mutex_);
    const bool stop = wake_.wait_for(lock, tick, [this] { return stopping_; });
    lock.unlock();
    status = storage_->retry();
    if (stop && !status) {
      gave_up_ = true;
      base::log::error("storage", "submitted operations are not stored", {{"why", status.error()}});
      return false;
    }
  }
  return true;
}

void StorageThread::report(const std::string& trouble) {
  const Condition now{.trouble = trouble,
                      .low = storage_->low() || (!trouble.empty() && storage_->out_of_room())};
  if (now == condition_) return;
  condition_ = now;
  answer([now](const Events& events) { events.changed(now); });
}

}  // namespace canopy::shard
