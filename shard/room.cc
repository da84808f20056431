#include "shard/room.h"

#include <algorithm>
#include <utility>

namespace canopy::shard {
namespace {

using keyspace::Revision;

std::uint64_t size_of(const wire::Write& write) {
  return write.deletes ? 0 : write.bytes() + Room::entry_overhead;
}

std::uint64_t size_of(const keyspace::Tree& tree) {
  return tree.bytes() + tree.size() * Room::entry_overhead;
}

}  // namespace

// Write by write: what a request deletes makes room once that is committed.
std::uint64_t Room::growth_of(const wire::WriteRequest& request, const keyspace::Tree& tree) const {
  std::uint64_t growth = 0;
  for (const wire::Write& write : request.writes) {
    const std::uint64_t after = size_of(write);
    if (after == 0) continue;
    const keyspace::UpdatePtr entry = tree.find(write.key);
    const std::uint64_t before = entry == nullptr ? 0 : entry->bytes() + entry_overhead;
    if (after > before) growth += after - before;
  }
  return growth;
}

Space::Verdict Room::count(std::uint64_t growth) {
  admitted_ += growth;
  growth_ += growth;
  return Verdict::fits;
}

// A value that only an empty partition could hold does not make the partition count as full.
Space::Verdict Room::refuse(std::uint64_t growth) {
  if (growth <= max_bytes_ / 2) wanted_ = std::max(wanted_, growth);
  return Verdict::full;
}

Space::Verdict Room::admit(const wire::WriteRequest& request, const keyspace::Tree& tree) {
  std::uint64_t most = 0;
  for (const wire::Write& write : request.writes) most += size_of(write);
  const std::uint64_t used = size_of(tree);
  if (!low_ && used + growth_ + most <= max_bytes_) return count(most);
  const std::uint64_t growth = growth_of(request, tree);
  if (growth == 0) return count(0);
  if (low_ || growth > max_bytes_) return refuse(growth);
  if (used + growth_ + growth <= max_bytes_) return count(growth);
  return growth_ == 0 && pending_.empty() ? refuse(growth) : Verdict::commit_first;
}

bool Room::admit_expiry() {
  count(0);
  return true;
}

void Room::proposed(Revision last) {
  pending_.push_back({.last = last, .growth = std::exchange(admitted_, 0)});
  committed(committed_);
}

void Room::committed(Revision to) {
  committed_ = std::max(committed_, to);
  for (; !pending_.empty() && pending_.front().last <= committed_; pending_.pop_front()) {
    growth_ -= pending_.front().growth;
  }
}

void Room::withdrawn() {
  pending_.clear();
  admitted_ = growth_ = 0;
}

std::string Room::full(const keyspace::Tree& tree) {
  if (low_) return "full: the disk has no room";
  if (size_of(tree) + wanted_ <= max_bytes_) wanted_ = 0;
  return wanted_ == 0 ? "" : "full: max_state_bytes is " + std::to_string(max_bytes_);
}

}  // namespace canopy::shard
