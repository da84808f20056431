// Decides whether a partition has room for a request: its entries take at most `max_bytes`, and do
// not grow while disk space is low. Sizes count committed entries and admitted growth, and are
// estimates from above. Pure; not thread-safe.
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
  // Bytes of an entry beside its key, value, properties and uuid: copy number, revision, lengths
  // and its share of a table's index.
  static constexpr std::uint64_t entry_overhead = 48;

  explicit Room(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Fault::none: admitted, and counted until committed(last). `busy`: may fit once earlier requests
  // are committed. `last`: revision of the request's last write. `tree`: the committed entries;
  // searched only near the limits.
  wire::Fault admit(const wire::WriteRequest& request, const keyspace::Tree& tree,
                    keyspace::Revision last);
  // The tree now holds every write up to this revision.
  void committed(keyspace::Revision to);
  // Why disk space is low; empty: it is not.
  void set_low(std::string why) { low_ = std::move(why); }
  bool low() const { return !low_.empty(); }

  // Why requests that grow the state are refused; empty: they are not.
  std::string full(const keyspace::Tree& tree);

 private:
  std::uint64_t growth_of(const wire::WriteRequest& request, const keyspace::Tree& tree) const;
  wire::Fault count(std::uint64_t growth, keyspace::Revision last);
  wire::Fault refuse(std::uint64_t growth);

  std::uint64_t max_bytes_;
  std::string low_;
  std::deque<std::pair<keyspace::Revision, std::uint64_t>> admitted_;  // uncommitted growth
  std::uint64_t growth_ = 0;                                           // sum of admitted_
  std::uint64_t wanted_ = 0;  // largest refused growth; full() until it fits
};

}  // namespace canopy::shard
