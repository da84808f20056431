// The cuts of Clone snapshots of the last seconds: what a subscription that arrives after its
// client's snapshot has to be told of began there. Pure: time is an argument. Not thread-safe.
//
// Nothing ties a subscription to the snapshot of its client, for they come over two connections. So
// it counts as coming after every remembered cut that shares keys with it, and the oldest decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/keyspace/revision.h"

namespace canopy::proxy {

class RecentCuts {
 public:
  // How long after its snapshot a client may subscribe.
  static constexpr base::Duration window = std::chrono::seconds(10);
  // Cuts of one prefix that lie closer together count as the first of them.
  static constexpr base::Duration merged = std::chrono::seconds(1);
  // Those of further prefixes are kept as cuts of everything.
  static constexpr std::size_t max_prefixes = 32;

  struct Cut {
    std::size_t partition = 0;
    keyspace::Revision revision{};
    std::uint64_t lineage = 0;  // of the revision; 0: of several, so that it tells nothing
  };
  // The partitions under the prefix, in any order, with the revisions that a snapshot has of them.
  void add(std::string_view prefix, std::vector<Cut> cuts, base::TimePoint now);
  // Of each partition that is in a remembered cut which shares keys with the prefix, the oldest.
  std::vector<Cut> since(std::string_view prefix, base::TimePoint now);
  // A partition has been split: its cuts are cuts of `part`, too.
  void divide(std::size_t whole, std::size_t part);
  // Remembered revisions.
  std::size_t size() const;

 private:
  struct Moment {
    base::TimePoint at{};
    std::vector<Cut> cuts{};  // by partition
  };

  void expire(base::TimePoint now);

  std::map<std::string, std::deque<Moment>, std::less<>> by_prefix_;
};

// Of two cuts of one partition; one that tells nothing if they are of different histories.
RecentCuts::Cut older(const RecentCuts::Cut& one, const RecentCuts::Cut& other);

}  // namespace canopy::proxy
