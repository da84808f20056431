#include "core/cluster/directory_record.h"

#include <algorithm>

namespace canopy::cluster {
namespace {

// The block size grows with the number of grants. So a directory that restarts often loses few
// numbers each time, and one that many processes join at once writes seldom.
constexpr std::uint32_t first_block = 8;
constexpr std::uint32_t largest_block = 256;

}  // namespace

DirectoryRecord::DirectoryRecord() : DirectoryRecord(Kept(), {}) {}

// Versions of entries begin at generations, which were therefore granted.
DirectoryRecord::DirectoryRecord(Kept kept, Keep keep, Entries entries, KeepEntries keep_entries)
    : kept_(std::move(kept)),
      keep_(std::move(keep)),
      entries_(std::move(entries)),
      keep_entries_(std::move(keep_entries)),
      last_(kept_.reserved),
      block_(first_block) {
  for (const auto& [key, entry] : entries_) {
    raise(static_cast<std::uint32_t>(entry.version >> counter_bits));
  }
}

base::Status DirectoryRecord::keep(Kept kept) {
  if (keep_) {
    if (auto status = keep_(kept); !status) {
      failure_ = status.error();
      return status;
    }
  }
  failure_.clear();
  kept_ = std::move(kept);
  return {};
}

base::Status DirectoryRecord::keep_entries(const Entries& changed) {
  auto status = keep_entries_ ? keep_entries_(changed) : base::Status();
  entries_failure_ = status ? std::string() : status.error();
  return status;
}

base::Status DirectoryRecord::reserve() {
  if (last_ >= max_generation) {
    return base::Error{"all " + std::to_string(max_generation) + " generations are used up"};
  }
  if (last_ < kept_.reserved) return {};
  Kept wanted = kept_;
  wanted.reserved = std::min(last_ + block_, max_generation);
  block_ = std::min(2 * block_, largest_block);
  return keep(std::move(wanted));
}

base::Result<std::uint32_t> DirectoryRecord::next() {
  if (auto status = reserve(); !status) return base::Error{status.error()};
  return ++last_;
}

void DirectoryRecord::raise(std::uint32_t known) {
  last_ = std::max(last_, std::min(known, max_generation));
}

void DirectoryRecord::raise_floor(std::uint32_t known) {
  raise(known);
  if (known <= kept_.floor) return;
  kept_.floor = std::min(known, max_generation);
  // If this fails, the next change stores it; nothing is granted before.
  static_cast<void>(keep(kept_).ok());
}

std::string DirectoryRecord::holder(const std::string& name) const {
  const auto found = kept_.holders.find(name);
  return found == kept_.holders.end() ? std::string() : found->second;
}

base::Status DirectoryRecord::set_holder(const std::string& name, const std::string& identity) {
  if (holder(name) == identity) return {};
  Kept wanted = kept_;
  if (wanted.holders.size() >= max_holders) wanted.holders.clear();
  wanted.holders[name] = identity;
  return keep(std::move(wanted));
}

}  // namespace canopy::cluster
