// What one watcher was told, checked as it comes: per partition revisions grow, nothing is told
// twice, no key steps back. Pure, not thread-safe.
//
// Between two syncs each revision follows the one before, but for deletions of keys that there are
// not, which a client passes over in silence: the holes are for whoever knows what was written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/events.h"
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
    std::optional<std::string> wrong{};  // what is
    std::optional<Hole> hole{};          // before this change
  };

  // `every`: the watch is of every update; else of the latest ones.
  Observation(const std::vector<std::string>& partitions, bool every)
      : partitions_(partitions), every_(every), heads_(partitions.size()) {}

  Finding changed(const client::Change& change);
  // Updates were lost on the way, or there is a sync: what comes next need not be the next
  // revision.
  void interrupted();

  const Map& map() const { return map_; }
  std::uint64_t live_changes() const { return live_changes_; }

 private:
  struct Head {
    keyspace::Revision latest{};  // told of this partition
    bool unbroken = false;        // the next live one is to be the next of the epoch
  };

  std::optional<std::string> check(const client::Change& change, const Head& head) const;
  std::optional<Hole> hole(const client::Change& change, std::size_t partition) const;

  const std::vector<std::string>& partitions_;
  bool every_;
  std::vector<Head> heads_;                                      // by partition
  std::map<std::string, keyspace::Revision, std::less<>> told_;  // by key, deleted ones too
  Map map_;
  std::uint64_t live_changes_ = 0;
};

}  // namespace canopy::faults
