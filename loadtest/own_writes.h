// What became of one client's own writes, as answered and as seen by its own watch. Pure; not
// thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/keyspace/revision.h"

namespace canopy::loadtest {

class OwnWrites {
 public:
  // Counters are sent in order.
  void sent(std::uint32_t counter, std::int64_t now_us);
  // Returns the µs since it was sent. Revisions of consecutive writes must grow.
  std::int64_t acknowledged(std::uint32_t counter, keyspace::Revision revision,
                            std::int64_t now_us);
  // Refused, or not answered: whether it is applied is not known.
  void failed(std::uint32_t counter);
  // Told by the own watch. Must be of the revision that the write was answered with.
  void seen(std::uint32_t counter, keyspace::Revision revision);

  // Not answered yet.
  std::size_t open() const { return open_; }
  // The last one that is known to be applied, by an answer or by being seen; 0: none.
  std::uint32_t last_applied() const;
  // Those that failed, in order.
  const std::vector<std::uint32_t>& doubtful() const { return doubtful_; }
  // Applied twice, in another order than sent, or at another revision than answered.
  std::uint64_t misapplied() const { return misapplied_; }

 private:
  struct Write {
    std::int64_t sent_us = 0;
    keyspace::Revision answered{};  // zero: not yet
    keyspace::Revision seen{};
  };
  struct Last {
    std::uint32_t counter = 0;
    keyspace::Revision revision{};
  };

  void compare(std::map<std::uint32_t, Write>::iterator write);

  std::map<std::uint32_t, Write> writes_;  // until both answered and seen
  std::size_t open_ = 0;
  Last answered_, seen_;
  std::vector<std::uint32_t> doubtful_;
  std::uint64_t misapplied_ = 0;
};

}  // namespace canopy::loadtest
