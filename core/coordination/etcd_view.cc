#include "core/coordination/etcd_view.h"

#include <algorithm>
#include <set>

namespace canopy::coordination::etcd {

void View::begin_list() {
  listing_ = true;
  deleted_.clear();
  newest_at_list_ = newest_;
}

// Whether the watcher has an event of `key` at `revision` or later.
bool View::reported(const std::string& key, Revision revision) const {
  if (const auto known = known_.find(key); known != known_.end()) return known->second >= revision;
  const auto gone = deleted_.find(key);
  return gone != deleted_.end() && gone->second >= revision;
}

void View::apply_list(Revision revision, const std::vector<KeyValue>& keys,
                      std::vector<Event>& events) {
  listing_ = false;
  if (revision < newest_at_list_) {  // another store of etcd: its revisions do not compare
    for (auto& [key, known] : known_) known = 0;
    deleted_.clear();
    newest_ = 0;
  }
  listed_ = revision;
  newest_ = std::max(newest_, revision);
  std::set<std::string_view> listed;
  for (const KeyValue& each : keys) {
    if (!each.key.starts_with(prefix_) || !listed.insert(each.key).second) continue;
    if (reported(each.key, revision + 1)) continue;
    const auto known = known_.find(each.key);
    if (known != known_.end() && known->second == each.modified) continue;
    known_[each.key] = each.modified;
    events.push_back({each.key.substr(hidden_), each.value, each.modified});
  }
  for (auto known = known_.begin(); known != known_.end();) {
    if (listed.contains(known->first) || known->second > revision) {
      ++known;
      continue;
    }
    events.push_back({known->first.substr(hidden_), std::nullopt, revision});
    known = known_.erase(known);
  }
}

void View::apply(const WatchEvents& message, std::vector<Event>& events) {
  for (const auto& [pair, deleted] : message.changes) {
    if (!pair.key.starts_with(prefix_) || pair.modified <= listed_) continue;
    if (reported(pair.key, pair.modified)) continue;
    newest_ = std::max(newest_, pair.modified);
    if (!deleted) {
      known_[pair.key] = pair.modified;
      events.push_back({pair.key.substr(hidden_), pair.value, pair.modified});
      continue;
    }
    if (listing_) deleted_[pair.key] = pair.modified;
    if (known_.erase(pair.key) == 0) continue;
    events.push_back({pair.key.substr(hidden_), std::nullopt, pair.modified});
  }
}

}  // namespace canopy::coordination::etcd
