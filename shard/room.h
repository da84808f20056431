// Whether a partition on disk has room for a request: its entries take at most `max_bytes`, and
// while the disk is low nothing grows at all. Sizes are those of committed entries and of what is
// proposed beyond them, estimated rather too high. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "shard/space.h"

namespace canopy::shard {

class Room final : public Space {
 public:
  // What an entry takes beside its key, value, properties and uuid: the copy, the revision, lengths
  // and its part of a table's index.
  static constexpr std::uint64_t entry_overhead = 48;

  explicit Room(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Far from the limits nothing is looked up in the tree.
  Verdict admit(const wire::WriteRequest& request, const keyspace::Tree& tree) override;
  bool admit_expiry() override;
  // What was admitted since the last call is proposed, up to this revision; to be called once a
  // turn, also when nothing came of it.
  void proposed(keyspace::Revision last);
  // The tree holds everything up to this revision.
  void committed(keyspace::Revision to);
  // What is admitted and not committed never will be.
  void withdrawn();
  // Whether the disk has no room for what grows: Storage::low().
  void set_low(bool low) { low_ = low; }

  // Why requests that grow the state are refused; empty when they are not.
  std::string full(const keyspace::Tree& tree);

 private:
  std::uint64_t growth_of(const wire::WriteRequest& request, const keyspace::Tree& tree) const;
  Verdict count(std::uint64_t growth);
  Verdict refuse(std::uint64_t growth);

  std::uint64_t max_bytes_;
  bool low_ = false;
  struct Proposal {
    keyspace::Revision last{};
    std::uint64_t growth = 0;
  };
  std::uint64_t admitted_ = 0;    // growth of what is not proposed yet
  std::deque<Proposal> pending_;  // what is not committed yet, in order
  std::uint64_t growth_ = 0;      // of both
  keyspace::Revision committed_;
  std::uint64_t wanted_ = 0;  // growth that was refused and has to fit again
};

}  // namespace canopy::shard
