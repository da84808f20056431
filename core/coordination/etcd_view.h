// Merges lists of the keys under one prefix, and the changes of a watch in between, into the events
// for a watcher. Each change is reported once; a list reports the changes that the watch has
// missed. Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "core/coordination/coordinator.h"
#include "core/coordination/etcd_messages.h"

namespace canopy::coordination::etcd {

class View {
 public:
  // `hidden`: bytes of the prefix that events leave out.
  View(const std::string& prefix, std::size_t hidden) : prefix_(prefix), hidden_(hidden) {}

  // A list has just been requested.
  void begin_list();
  // The list has arrived: `keys`, complete as of `revision`. Appends to `events`.
  void apply_list(Revision revision, const std::vector<KeyValue>& keys, std::vector<Event>& events);
  // In the order of the watch's stream.
  void apply(const WatchEvents& message, std::vector<Event>& events);

 private:
  bool reported(const std::string& key, Revision revision) const;

  const std::string prefix_;
  const std::size_t hidden_;
  std::map<std::string, Revision> known_{};
  // Changes of the watch while a list is under way may be newer than the list.
  bool listing_ = false;
  std::map<std::string, Revision> deleted_{};  // meanwhile
  Revision listed_ = 0;                        // of the last list
  Revision newest_ = 0;
  Revision newest_at_list_ = 0;  // when the list was asked for
};

}  // namespace canopy::coordination::etcd
