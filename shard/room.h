// Whether a partition has room for a request: its entries take at most `max_bytes`, and while its
// disk is low nothing grows at all. Sizes are those of committed entries and of what is admitted
// beyond them, estimated rather too high. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "core/keyspace/tree.h"
#include "core/wire/fault.h"
#include "core/wire/write.h"

namespace canopy::shard {

class Room {
 public:
  // What an entry takes beside its key, value, properties and uuid: the copy, the revision, lengths
  // and its part of a table's index.
  static constexpr std::uint64_t entry_overhead = 48;

  explicit Room(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // `last`: the revision of the request's last write. None: it counts from now on. `busy`: it may
  // fit once what was admitted before is committed. Far from the limits nothing is looked up in the
  // tree, which holds what is committed.
  wire::Fault admit(const wire::WriteRequest& request, const keyspace::Tree& tree,
                    keyspace::Revision last);
  // The tree holds everything up to this revision.
  void committed(keyspace::Revision to);
  // Why the disk takes nothing that grows; empty: it does.
  void set_low(std::string why) { low_ = std::move(why); }
  bool low() const { return !low_.empty(); }

  // Why requests that grow the state are refused; empty when they are not.
  std::string full(const keyspace::Tree& tree);

 private:
  std::uint64_t growth_of(const wire::WriteRequest& request, const keyspace::Tree& tree) const;
  wire::Fault count(std::uint64_t growth, keyspace::Revision last);
  wire::Fault refuse(std::uint64_t growth);

  std::uint64_t max_bytes_;
  std::string low_;
  std::deque<std::pair<keyspace::Revision, std::uint64_t>> admitted_;  // not committed: growths
  std::uint64_t growth_ = 0;                                           // of all of them
  std::uint64_t wanted_ = 0;  // growth that was refused and has to fit again
};

}  // namespace canopy::shard
