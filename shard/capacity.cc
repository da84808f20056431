#include "shard/capacity.h"

#include <algorithm>

namespace canopy::shard {
namespace {

constexpr std::uint64_t kibibyte = 1024;
constexpr std::uint64_t mebibyte = 1024 * kibibyte;

// Of one entry beside its key, value, properties and uuid: MessagePack, revision, expiry, CRC.
constexpr std::uint64_t record_overhead = 40;
constexpr std::uint64_t node_overhead = 10;   // header and index slot in an LMDB page
constexpr std::uint64_t page_header = 16;     // LMDB
constexpr std::uint64_t fill_factor = 2;      // a page that was split is half empty
constexpr std::uint64_t request_bytes = 256;  // of a client's request, beside its entries
constexpr std::uint64_t commit_bytes =
    64 * kibibyte;  // branches, request table, list of free pages

// A request may touch 1,024 leaf pages: the reserve holds two such commits.
constexpr std::uint64_t min_reserve = 512 * kibibyte;
constexpr std::uint64_t max_reserve = 10 * mebibyte;
// The file is extended by more than is asked for, so that this is not done with each commit.
constexpr std::uint64_t min_step = 256 * kibibyte;
constexpr std::uint64_t max_step = 32 * mebibyte;

}  // namespace

std::uint64_t Capacity::stored(std::uint64_t key_bytes, std::uint64_t record_bytes) const {
  const std::uint64_t page = used_.page_bytes;
  const std::uint64_t node = node_overhead + key_bytes + record_bytes;
  if (node <= (page - page_header) / 2) return fill_factor * node;
  const std::uint64_t pages = (page_header + record_bytes + page - 1) / page;
  return pages * page + fill_factor * (node_overhead + key_bytes + sizeof(std::uint64_t));
}

std::uint64_t Capacity::stored(const wire::Write& write) const {
  return write.deletes ? 0 : stored(write.key.size(), write.bytes() + record_overhead);
}

std::uint64_t Capacity::stored(const keyspace::Update& update) const {
  return stored(update.key.size(), update.bytes() + record_overhead);
}

Capacity::Need Capacity::need_of(const wire::WriteRequest& request) const {
  Need need{.writes = request.writes.size(), .requests = 1};
  for (const wire::Write& write : request.writes) need.bytes += stored(write);
  return need;
}

// Of the entries as committed, write by write: what a request deletes makes room once that is
// committed.
std::uint64_t Capacity::growth_of(const wire::WriteRequest& request,
                                  const keyspace::Tree& tree) const {
  std::uint64_t growth = 0;
  for (const wire::Write& write : request.writes) {
    if (write.deletes) continue;
    const keyspace::UpdatePtr entry = tree.find(write.key);
    const std::uint64_t before = entry == nullptr ? 0 : stored(*entry);
    const std::uint64_t after = stored(write);
    if (after > before) growth += after - before;
  }
  return growth;
}

// In bytes, when no page within the file is free.
std::uint64_t Capacity::pages_for(const Need& need) const {
  return commit_bytes + need.bytes + need.requests * request_bytes +
         std::min(need.writes, used_.leaf_pages + 1) * used_.page_bytes;
}

std::uint64_t Capacity::reserve() const {
  return std::clamp(2 * (used_.state_bytes + commit_bytes), min_reserve, max_reserve);
}

std::uint64_t Capacity::headroom() const {
  return ensured_ > used_.file_bytes ? ensured_ - used_.file_bytes : 0;
}

bool Capacity::ensure(std::uint64_t bytes) {
  if (bytes <= headroom()) return true;
  if (disk_full_) return false;
  const std::uint64_t needed = used_.file_bytes + bytes;
  const std::uint64_t step = std::clamp(used_.file_bytes / 8, min_step, max_step);
  for (const std::uint64_t target : {needed + step, needed}) {
    if (!extend_(target)) continue;
    ensured_ = target;
    return true;
  }
  disk_full_ = true;
  return false;
}

Space::Verdict Capacity::count(const Need& need) {
  pending_ = pending_ + need;
  return Verdict::fits;
}

Space::Verdict Capacity::admit(const wire::WriteRequest& request, const keyspace::Tree& tree) {
  const Need need = need_of(request);
  const Need all = pending_ + need;
  // Far from the limits nothing is looked up.
  if (used_.state_bytes + all.bytes <= max_bytes_ && ensure(pages_for(all) + reserve())) {
    return count(need);
  }
  const std::uint64_t growth = growth_of(request, tree);
  return growth > 0 ? admit_growing(need, growth) : admit_other(request, need);
}

Space::Verdict Capacity::admit_growing(const Need& need, std::uint64_t growth) {
  const std::uint64_t bytes = pages_for(need) + reserve();
  const bool hopeless = growth > max_bytes_ || (disk_full_ && bytes > headroom());
  if (hopeless) return refuse(growth, bytes);
  if (pending_.requests > 0) return Verdict::commit_first;
  if (used_.state_bytes + growth > max_bytes_ || !ensure(bytes)) return refuse(growth, bytes);
  return count(need);
}

// Deletions, and values that need no more pages than the ones they replace.
Space::Verdict Capacity::admit_other(const wire::WriteRequest& request, const Need& need) {
  const std::uint64_t bytes = pages_for(pending_ + need);
  if (bytes <= headroom() / 2) return count(need);
  if (pending_.requests > 0) return Verdict::commit_first;
  const auto deletes = [](const wire::Write& write) { return write.deletes; };
  if (ensure(bytes + reserve()) || std::ranges::all_of(request.writes, deletes)) {
    return count(need);
  }
  return refuse(0, bytes + reserve());
}

bool Capacity::admit_expiry() {
  const Need need{.writes = 1, .requests = 1};
  const std::uint64_t bytes = pages_for(pending_ + need);
  if (bytes > headroom() / 2 && pending_.requests > 0 && !ensure(bytes + reserve())) return false;
  count(need);
  return true;
}

// A value that only an empty partition could hold does not make the partition count as full.
Space::Verdict Capacity::refuse(std::uint64_t growth, std::uint64_t bytes) {
  if (disk_full_ || growth <= max_bytes_ / 2) {
    wanted_growth_ = std::max<std::uint64_t>(growth, 1);
    wanted_bytes_ = bytes;
  }
  return Verdict::full;
}

void Capacity::committed(const Used& used) {
  used_ = used;
  pending_ = gathered_ = {};
  if (!disk_full_ && used_.state_bytes + wanted_growth_ <= max_bytes_) wanted_growth_ = 0;
}

void Capacity::failed() {
  ensured_ = 0;
  disk_full_ = true;
  if (wanted_growth_ == 0) refuse(1, pages_for(pending_) + reserve());
}

void Capacity::probe() {
  disk_full_ = false;
  const bool room = ensure(wanted_growth_ > 0 ? wanted_bytes_ : reserve());
  if (room && used_.state_bytes + wanted_growth_ <= max_bytes_) wanted_growth_ = 0;
}

std::string Capacity::full() const {
  if (wanted_growth_ == 0) return {};
  return disk_full_ ? "full: the disk has no room"
                    : "full: max_state_bytes is " + std::to_string(max_bytes_);
}

}  // namespace canopy::shard
