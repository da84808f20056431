// What a watcher has been told of the keys under one prefix, and what it is to be told next: from
// lists, and from the changes that a watch brings in between. Each change is told once; what a list
// shows that no watch has brought is told as well. Pure. Not thread-safe.
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
  // `hidden`: the part of the prefix that events leave out.
  View(const std::string& prefix, std::size_t hidden) : prefix_(prefix), hidden_(hidden) {}

  // A list has been asked for now.
  void begin_list();
  // It is `keys`, all there were at `revision`. Appends to `events`.
  void apply_list(Revision revision, const std::vector<KeyValue>& keys, std::vector<Event>& events);
  // In the order of the watch's stream.
  void apply(const WatchEvents& message, std::vector<Event>& events);

 private:
  bool told(const std::string& key, Revision revision) const;

  const std::string prefix_;
  const std::size_t hidden_;
  std::map<std::string, Revision> known_{};
  // What the watch has told while a list was under way may be newer than the list.
  bool listing_ = false;
  std::map<std::string, Revision> deleted_{};  // meanwhile
  Revision listed_ = 0;                        // of the last list
  Revision newest_ = 0;
  Revision newest_at_list_ = 0;  // when the list was asked for
};

}  // namespace canopy::coordination::etcd
