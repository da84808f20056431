// A live local copy of a subtree.
//
// Thread-safe, except for moving and destroying: any thread may read while a thread of the library
// applies changes. Without a connection to the cluster it holds what arrived last. The client must
// be alive when the map is made. It may be destroyed first: the map then no longer changes. A map
// that was moved from can only be destroyed or assigned to.
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
  // `watcher` receives the events of the map's watch, each change once it is in the map.
  Map(Client& client, std::string_view subtree, const WatchOptions& options = {},
      Watcher watcher = {});
  ~Map();
  Map(Map&&) noexcept;
  Map& operator=(Map&&) noexcept;

  // Waits until the map holds the whole subtree for the first time; false if that takes longer than
  // `timeout`, as it does in a callback of this map. Throws Error if the watch is refused.
  bool wait_synced(std::chrono::milliseconds timeout = std::chrono::seconds(10)) const;
  bool synced() const;

  std::optional<Entry> find(std::string_view key) const;
  bool contains(std::string_view key) const;
  std::size_t size() const;
  // In the order of the keys. No change is applied meanwhile: `visit` should be short, and must not
  // use this map.
  void for_each(const std::function<void(const Entry& entry)>& visit) const;
  std::map<std::string, Entry> snapshot() const;

 private:
  struct State;

  std::shared_ptr<State> state_;
  Subscription subscription_;
};

}  // namespace canopy
