// The cuts of recent Clone snapshots. A subscription that arrives after the snapshot of its client
// gets the changes since that cut. Pure: time is an argument. Not thread-safe.
//
// A snapshot and a subscription of one client come over two connections, which nothing ties
// together. So a subscription counts as later than every remembered cut that shares keys with it,
// and the oldest of these cuts decides.
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
  // A client may subscribe this long after its snapshot.
  static constexpr base::Duration window = std::chrono::seconds(10);
  // Cuts of one prefix within this time count as the first of them.
  static constexpr base::Duration merged = std::chrono::seconds(1);
  // Cuts of further prefixes are kept as cuts of the root.
  static constexpr std::size_t max_prefixes = 32;

  struct Cut {
    std::size_t partition = 0;
    keyspace::Revision revision{};
    std::uint64_t lineage = 0;  // of the revision; 0: several lineages, the revision is void
  };
  // Remembers a snapshot of the prefix: its partitions, in any order, with their revisions.
  void add(std::string_view prefix, std::vector<Cut> cuts, base::TimePoint now);
  // The oldest cut of each partition among the remembered cuts that share keys with the prefix.
  std::vector<Cut> since(std::string_view prefix, base::TimePoint now);
  // A partition has been split: cuts of `whole` are cuts of `part` too.
  void divide(std::size_t whole, std::size_t part);
  // Number of remembered revisions.
  std::size_t size() const;

 private:
  struct Moment {
    base::TimePoint at{};
    std::vector<Cut> cuts{};  // by partition
  };

  void expire(base::TimePoint now);

  std::map<std::string, std::deque<Moment>, std::less<>> by_prefix_;
};

// The older of two cuts of one partition; its revision is void if their lineages differ.
RecentCuts::Cut older(const RecentCuts::Cut& one, const RecentCuts::Cut& other);

}  // namespace canopy::proxy
