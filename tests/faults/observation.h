// Checks the changes that one watcher receives: revisions grow in each partition, no change arrives
// twice, no key goes back. Pure; not thread-safe.
//
// Between two syncs, revisions are contiguous. A client skips deletions of missing keys without
// notice, so the validators check the holes against the history of all writes.
//
// After a new epoch, a proxy compares its mirror with the shard's state and publishes the
// difference by key; the revisions of deletions are upper bounds. So within `takeover` of a new
// epoch, faults of order and holes are counted but are no findings.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/keyspace/revision.h"

namespace canopy::faults {

// The index of the longest of `partitions` (subtrees, with the root) that holds the key.
std::size_t partition_of(const std::vector<std::string>& partitions, std::string_view key);

class Observation {
 public:
  struct Held {
    keyspace::Revision revision{};
    std::string value{};

    bool operator==(const Held&) const = default;
  };
  using Map = std::map<std::string, Held, std::less<>>;

  // Revisions of one epoch that did not arrive.
  struct Hole {
    std::size_t partition = 0;
    keyspace::Revision first{}, last{};

    auto operator<=>(const Hole&) const = default;
  };
  struct Finding {
    std::string what{};  // the fault; empty: a hole
    std::optional<Hole> hole{};
    std::string key{};
    keyspace::Revision revision{};
  };
  static constexpr base::Duration takeover = std::chrono::seconds(3);

  // `every`: the watch is for every update, else for the latest. `strict`: faults within `takeover`
  // of a new epoch are findings.
  Observation(const std::vector<std::string>& partitions, bool every, bool strict = false)
      : partitions_(partitions), every_(every), strict_(strict), heads_(partitions.size()) {}

  void changed(const client::Change& change, base::TimePoint now);
  // The watcher missed updates or was synced: the next revision need not follow the last one.
  void interrupted();

  // The faults known at `now`, once each.
  std::vector<Finding> findings(base::TimePoint now);
  std::uint64_t takeovers() const { return takeovers_; }  // faults around new epochs

  const Map& map() const { return map_; }
  std::uint64_t live_changes() const { return live_changes_; }

 private:
  struct Head {
    keyspace::Revision latest{};  // received
    bool unbroken = false;        // the next live revision must follow `latest`
    std::optional<base::TimePoint> new_epoch{};
  };
  struct Pending {
    base::TimePoint since{};
    std::size_t partition = 0;
    Finding finding{};
  };

  void check(const client::Change& change, std::size_t partition, base::TimePoint now);
  void add_pending(const client::Change& change, std::size_t partition, base::TimePoint now,
                   std::string what, std::optional<Hole> hole);
  void begin_epoch(std::size_t partition, base::TimePoint now);

  const std::vector<std::string>& partitions_;
  bool every_, strict_;
  std::vector<Head> heads_;                                      // by partition
  std::map<std::string, keyspace::Revision, std::less<>> seen_;  // by key, deleted ones too
  Map map_;
  std::vector<Finding> found_;
  std::deque<Pending> pending_;  // a new epoch may remove them
  std::uint64_t live_changes_ = 0;
  std::uint64_t takeovers_ = 0;
};

}  // namespace canopy::faults
