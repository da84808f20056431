#include "client/canopy/callbacks.h"

#include <utility>

#include "client/threads.h"

namespace canopy {

CallbackQueue::CallbackQueue(Watcher watcher, std::size_t max_bytes)
    : max_bytes_(max_bytes), watcher_(std::move(watcher)) {}

std::size_t CallbackQueue::Item::bytes() const {
  return sizeof *this + entry.key.size() + entry.value.size() + entry.properties.size();
}

void CallbackQueue::start() {
  const std::lock_guard lock(mutex_);
  if (started_ || stopped_) return;
  client::start_thread([self = shared_from_this()] { self->run(); }).detach();
  started_ = true;
}

bool CallbackQueue::post(Task& task) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  items_.push_back({.task = std::move(task)});
  changed_.notify_all();
  return true;
}

void CallbackQueue::change(const Change& change) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  Item item{.entry = {.key = std::string(change.key),
                      .value = std::string(change.value),
                      .properties = std::string(change.properties),
                      .revision = change.revision,
                      .expires_at_ms = change.expires_at_ms},
            .deleted = change.deleted,
            .live = change.live};
  const auto earlier = last_.find(change.key);
  if (bytes_ >= max_bytes_ && earlier != last_.end()) {
    // In the earlier one's place, so that what comes before on_synced still does.
    Item& replaced = *earlier->second;
    bytes_ += item.bytes() - replaced.bytes();
    last_.erase(earlier);
    replaced = std::move(item);
    last_.emplace(replaced.entry.key, &replaced);
    ++gap_;
    ++merged_;
    return;
  }
  bytes_ += item.bytes();
  Item& last = items_.emplace_back(std::move(item));
  if (earlier != last_.end()) last_.erase(earlier);
  last_.emplace(last.entry.key, &last);
  changed_.notify_all();
}

void CallbackQueue::stop(Rest rest) {
  std::deque<Item> dropped;  // destroyed without the lock: a task may own anything
  std::unique_lock lock(mutex_);
  stopped_ = true;
  if (rest == Rest::drop) {
    last_.clear();
    dropped.swap(items_);
    bytes_ = gap_ = 0;
  }
  changed_.notify_all();
  if (!started_ || thread_ == std::this_thread::get_id()) return;
  changed_.wait(lock, [this] { return ended_; });
}

std::size_t CallbackQueue::size() const {
  const std::lock_guard lock(mutex_);
  return items_.size();
}

std::size_t CallbackQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::uint64_t CallbackQueue::merged() const {
  const std::lock_guard lock(mutex_);
  return merged_;
}

void CallbackQueue::run() {
  std::unique_lock lock(mutex_);
  thread_ = std::this_thread::get_id();
  for (;;) {
    changed_.wait(lock, [this] { return stopped_ || !items_.empty(); });
    if (items_.empty()) break;
    run_next(lock);
  }
  Watcher over = std::exchange(watcher_, {});
  lock.unlock();
  over = {};
  lock.lock();
  ended_ = true;
  changed_.notify_all();
}

void CallbackQueue::run_next(std::unique_lock<std::mutex>& lock) {
  if (const std::uint64_t gap = std::exchange(gap_, 0); gap > 0) {
    lock.unlock();
    if (watcher_.on_gap) watcher_.on_gap(gap);
    lock.lock();
    return;  // on_gap may have stopped this queue
  }
  if (!items_.front().task) {
    bytes_ -= items_.front().bytes();
    const auto last = last_.find(items_.front().entry.key);
    if (last != last_.end() && last->second == &items_.front()) last_.erase(last);
  }
  {
    const Item item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    pass(item);
  }
  lock.lock();
}

void CallbackQueue::pass(const Item& item) const {
  if (item.task) return item.task();
  if (!watcher_.on_change) return;
  watcher_.on_change({.key = item.entry.key,
                      .value = item.entry.value,
                      .properties = item.entry.properties,
                      .revision = item.entry.revision,
                      .expires_at_ms = item.entry.expires_at_ms,
                      .deleted = item.deleted,
                      .live = item.live});
}

}  // namespace canopy
