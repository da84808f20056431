// The results of one client's own writes: as the proxy acknowledged them and as the client's watch
// received them. Pure; not thread-safe.
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
  // The write was refused or not answered, so it may or may not be applied.
  void failed(std::uint32_t counter);
  // The client's watch received the write. `revision` must be the acknowledged one.
  void seen(std::uint32_t counter, keyspace::Revision revision);

  // Writes without an answer.
  std::size_t open() const { return open_; }
  // The last write that is known to be applied, acknowledged or received; 0: none.
  std::uint32_t last_applied() const;
  // Failed writes, in order.
  const std::vector<std::uint32_t>& unacknowledged() const { return unacknowledged_; }
  // Writes applied twice, in another order than sent, or at another revision than acknowledged.
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

  std::map<std::uint32_t, Write> writes_;  // until both acknowledged and received
  std::size_t open_ = 0;
  Last answered_, seen_;
  std::vector<std::uint32_t> unacknowledged_;
  std::uint64_t misapplied_ = 0;
};

}  // namespace canopy::loadtest
