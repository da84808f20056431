// A live local copy of a subtree.
//
// Thread-safe: any thread may read while the client's thread keeps it up to date. While contact
// with the cluster is lost it holds what was known last. Uses the client, which must be alive when
// the map is made; afterwards it may go first, and the map stands still.
#pragma once

#include <canopy/client.h>
#include <canopy/export.h>
#include <canopy/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace canopy {

class CANOPY_EXPORT Map {
 public:
  // `watcher` is told what a watch is told, each change after it is in the map.
  Map(Client& client, std::string_view subtree, const WatchOptions& options = {},
      Watcher watcher = {});
  // Not from one of its own callbacks.
  ~Map();
  Map(Map&&) noexcept;
  Map& operator=(Map&&) noexcept;

  // Until the map holds the whole subtree for the first time; false if that takes longer than
  // `timeout`. Throws Error if the watch is refused, std::logic_error from a callback of the
  // client.
  bool wait_synced(std::chrono::milliseconds timeout = std::chrono::seconds(10)) const;
  bool synced() const;

  std::optional<Entry> find(std::string_view key) const;
  bool contains(std::string_view key) const;
  std::size_t size() const;
  // In the order of the keys. The map stands still meanwhile, so `visit` should be short, and must
  // not use this map.
  void for_each(const std::function<void(const Entry& entry)>& visit) const;
  std::map<std::string, Entry> snapshot() const;

 private:
  struct State;

  std::weak_ptr<Engine> engine_;
  std::shared_ptr<State> state_;
  Subscription subscription_;
};

}  // namespace canopy
