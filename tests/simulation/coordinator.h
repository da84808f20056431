// The coordinator as shards see it (core/coordination/coordinator.h): a record that changes by
// compare-and-set, leases, and a watch of both.
//
// A shard receives the states of the record in order, but late, perhaps repeated, and with gaps; so
// it receives the leases. In worlds with clocks of equal speed neither overtakes the other; else it
// may. The outcome of a compare-and-set may overtake both. An unreachable shard receives everything
// later. A compare-and-set is carried out at most once, perhaps after its process has ended.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/context.h"

namespace canopy::simulation {

class Shard;

class Coordinator {
 public:
  using Outcome = std::function<void(bool taken)>;

  explicit Coordinator(Context context) : context_(context) {}

  void add(Shard& shard);
  // A new process of the shard begins to watch, and gets a generation.
  void started(Shard& shard);
  // The process of the shard has ended; `goodbye`: it has resigned.
  void stopped(Shard& shard, bool goodbye);
  void renew(Shard& shard);
  // `outcome` is called once, perhaps late, when the coordinator reaches the shard.
  void compare_and_set(Shard& shard, cluster::Replica::Proposal proposal, Outcome outcome);

  // An operator changes the placement of the partition.
  void place(const std::vector<std::string>& shards);
  // An operator orders the split of the part.
  void split();
  // A shard has opened a new copy: its replica receives the record and the leases.
  void opened(Shard& shard) { list(watchers_.at(name_of(shard))); }

  void reach_all(bool reachable);
  void reach(const std::string& shard, bool reachable);

  // The present record.
  const std::optional<cluster::PartitionRecord>& record() const { return record_; }
  const std::vector<std::string>& placement() const {
    return record_ && !record_->placement.empty() ? record_->placement
                                                  : context_.scenario.settings.placement;
  }
  const std::set<std::string>& alive() const { return alive_; }

 private:
  struct Watcher {
    Shard* shard = nullptr;
    bool reachable = true;
    base::TimePoint lease{};  // until then
    base::TimePoint record_told{}, alive_told{};
    std::vector<Events::Action> waiting{};  // for being reachable
  };

  static const std::string& name_of(const Shard& shard);
  void order(const char* what);
  void list(Watcher& watcher);
  void tell_record(Watcher& watcher);
  void tell_alive(Watcher& watcher);
  void tell_all_alive();
  void expire(Watcher& watcher);
  void decide(Watcher& watcher, const cluster::Replica::Proposal& proposal, Outcome outcome);
  void when_reachable(Watcher& watcher, Events::Action action);
  bool reachable(const Watcher& watcher) const { return reachable_ && watcher.reachable; }
  void reached(Watcher& watcher);
  base::Duration delay();

  Context context_;
  bool reachable_ = true;
  std::optional<cluster::PartitionRecord> record_{};
  std::uint64_t record_version_ = 0;
  std::uint64_t version_ = 0;  // of the directory
  std::set<std::string> alive_{};
  std::map<std::string, Watcher> watchers_{};
};

}  // namespace canopy::simulation
