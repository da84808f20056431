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

// Each write on its own: deletions of the same request make room only after their commit.
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

wire::Fault Room::count(std::uint64_t growth, Revision last) {
  if (growth > 0) admitted_.emplace_back(last, growth);
  growth_ += growth;
  return wire::Fault::none;
}

// A value that hardly fits an empty partition does not make the partition full.
wire::Fault Room::refuse(std::uint64_t growth) {
  if (growth <= max_bytes_ / 2) wanted_ = std::max(wanted_, growth);
  return wire::Fault::full;
}

wire::Fault Room::admit(const wire::WriteRequest& request, const keyspace::Tree& tree,
                        Revision last) {
  if (max_bytes_ == UINT64_MAX && low_.empty()) return wire::Fault::none;
  std::uint64_t bound = 0;
  for (const wire::Write& write : request.writes) bound += size_of(write);
  const std::uint64_t used = size_of(tree);
  if (low_.empty() && used + growth_ + bound <= max_bytes_) return count(bound, last);
  const std::uint64_t growth = growth_of(request, tree);
  if (growth == 0) return wire::Fault::none;
  if (!low_.empty() || growth > max_bytes_) return refuse(growth);
  if (used + growth_ + growth <= max_bytes_) return count(growth, last);
  return growth_ == 0 ? refuse(growth) : wire::Fault::busy;
}

void Room::committed(Revision to) {
  for (; !admitted_.empty() && admitted_.front().first <= to; admitted_.pop_front()) {
    growth_ -= admitted_.front().second;
  }
}

std::string Room::full(const keyspace::Tree& tree) {
  if (!low_.empty()) return low_;
  if (size_of(tree) + wanted_ <= max_bytes_) wanted_ = 0;
  return wanted_ == 0 ? "" : "max_state_bytes is " + std::to_string(max_bytes_);
}

}  // namespace canopy::shard
