// What one watcher was told, checked as it comes: per partition revisions grow, nothing is told
// twice, no key steps back. Pure, not thread-safe.
//
// Between two syncs each revision follows the one before, but for deletions of keys that there are
// not, which a client passes over in silence: the holes are for whoever knows what was written.
//
// A proxy that finds its shard in a new epoch compares what both have and passes on the difference
// by key, its deletions with a revision that is a bound from above. So around a new epoch neither
// order nor holes say anything: what is found within `takeover` of one is counted, and no finding.
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

// The index of the longest of `partitions` (subtrees, the root among them) that has the key.
std::size_t partition_of(const std::vector<std::string>& partitions, std::string_view key);

class Observation {
 public:
  struct Held {
    keyspace::Revision revision{};
    std::string value{};

    bool operator==(const Held&) const = default;
  };
  using Map = std::map<std::string, Held, std::less<>>;

  // Revisions of one epoch that were not told.
  struct Hole {
    std::size_t partition = 0;
    keyspace::Revision first{}, last{};

    auto operator<=>(const Hole&) const = default;
  };
  struct Finding {
    std::string what{};  // is wrong; empty: there is a hole
    std::optional<Hole> hole{};
    std::string key{};
    keyspace::Revision revision{};
  };
  static constexpr base::Duration takeover = std::chrono::seconds(3);

  // `every`: the watch is of every update; else of the latest ones. `strict`: a new epoch is no
  // excuse.
  Observation(const std::vector<std::string>& partitions, bool every, bool strict = false)
      : partitions_(partitions), every_(every), strict_(strict), heads_(partitions.size()) {}

  void changed(const client::Change& change, base::TimePoint now);
  // Updates were lost on the way, or there is a sync: what comes next need not be the next
  // revision.
  void interrupted();

  // What is known to be wrong by now, once each.
  std::vector<Finding> findings(base::TimePoint now);
  std::uint64_t takeovers() const { return takeovers_; }  // findings that are none

  const Map& map() const { return map_; }
  std::uint64_t live_changes() const { return live_changes_; }

 private:
  struct Head {
    keyspace::Revision latest{};  // told of this partition
    bool unbroken = false;        // the next live one is to be the next of the epoch
    std::optional<base::TimePoint> new_epoch{};
  };
  struct Doubt {
    base::TimePoint since{};
    std::size_t partition = 0;
    Finding finding{};
  };

  void check(const client::Change& change, std::size_t partition, base::TimePoint now);
  void doubt(const client::Change& change, std::size_t partition, base::TimePoint now,
             std::string what, std::optional<Hole> hole);
  void begin_epoch(std::size_t partition, base::TimePoint now);

  const std::vector<std::string>& partitions_;
  bool every_, strict_;
  std::vector<Head> heads_;                                      // by partition
  std::map<std::string, keyspace::Revision, std::less<>> told_;  // by key, deleted ones too
  Map map_;
  std::vector<Finding> found_;
  std::deque<Doubt> doubts_;  // that a new epoch may remove
  std::uint64_t live_changes_ = 0;
  std::uint64_t takeovers_ = 0;
};

}  // namespace canopy::faults
