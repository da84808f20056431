#include "client/canopy/map.h"

#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#include "client/canopy/error.h"

namespace canopy {

struct Map::State {
  void apply(const Change& change) {
    const std::unique_lock lock(mutex);
    if (change.deleted) {
      if (const auto found = entries.find(change.key); found != entries.end()) entries.erase(found);
      return;
    }
    auto found = entries.find(change.key);
    if (found == entries.end()) found = entries.try_emplace(std::string(change.key)).first;
    Entry& entry = found->second;
    entry.key = change.key;
    entry.value = change.value;
    entry.properties = change.properties;
    entry.revision = change.revision;
    entry.expires_at_ms = change.expires_at_ms;
  }
  void finish(std::optional<Error> why) {
    {
      const std::unique_lock lock(mutex);
      synced = !why;
      error = std::move(why);
    }
    changed.notify_all();
  }

  mutable std::shared_mutex mutex;  // over what follows
  std::condition_variable_any changed;
  std::map<std::string, Entry, std::less<>> entries;
  bool synced = false;
  std::optional<Error> error;
};

Map::Map(Client& client, std::string_view subtree, const WatchOptions& options, Watcher watcher)
    : state_(std::make_shared<State>()) {
  const auto user = std::make_shared<const Watcher>(std::move(watcher));
  subscription_ = client.watch(subtree,
                               Watcher{.on_change =
                                           [state = state_, user](const Change& change) {
                                             state->apply(change);
                                             if (user->on_change) user->on_change(change);
                                           },
                                       .on_synced =
                                           [state = state_, user](Sync sync) {
                                             state->finish(std::nullopt);
                                             if (user->on_synced) user->on_synced(sync);
                                           },
                                       .on_gap = user->on_gap,
                                       .on_contact = user->on_contact,
                                       .on_error =
                                           [state = state_, user](const Error& error) {
                                             state->finish(error);
                                             if (user->on_error) user->on_error(error);
                                           }},
                               options);
}

Map::~Map() = default;
Map::Map(Map&&) noexcept = default;
Map& Map::operator=(Map&&) noexcept = default;

bool Map::wait_synced(std::chrono::milliseconds timeout) const {
  std::shared_lock lock(state_->mutex);
  state_->changed.wait_for(lock, timeout, [this] { return state_->synced || state_->error; });
  if (state_->error) throw Error(*state_->error);
  return state_->synced;
}

bool Map::synced() const {
  const std::shared_lock lock(state_->mutex);
  return state_->synced;
}

std::optional<Entry> Map::find(std::string_view key) const {
  const std::shared_lock lock(state_->mutex);
  const auto found = state_->entries.find(key);
  return found == state_->entries.end() ? std::nullopt : std::optional(found->second);
}

bool Map::contains(std::string_view key) const {
  const std::shared_lock lock(state_->mutex);
  return state_->entries.contains(key);
}

std::size_t Map::size() const {
  const std::shared_lock lock(state_->mutex);
  return state_->entries.size();
}

void Map::for_each(const std::function<void(const Entry& entry)>& visit) const {
  const std::shared_lock lock(state_->mutex);
  for (const auto& [key, entry] : state_->entries) visit(entry);
}

std::map<std::string, Entry> Map::snapshot() const {
  const std::shared_lock lock(state_->mutex);
  return {state_->entries.begin(), state_->entries.end()};
}

}  // namespace canopy
