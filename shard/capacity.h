// What a store on disk has room for: at most `max_bytes` of entries, and never more than the file
// has blocks for. Pure: the file is reached through `extend`. Not thread-safe.
//
// LMDB copies a page to change it, so that a deletion needs free pages too. The capacity keeps
// blocks ahead of the last used page: a growing request leaves this reserve alone, a request that
// does not grow the state may use half of what is left of it. Two commits later the pages that the
// first one replaced are free again.
//
// Sizes of what is not on disk yet are estimates, rather too high. With each commit the store tells
// the true ones.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "shard/space.h"

namespace canopy::shard {

class Capacity final : public Space {
 public:
  // Gives the file blocks up to `file_bytes`; false when there is no room.
  using Extend = std::function<bool(std::uint64_t file_bytes)>;

  // As of the last commit.
  struct Used {
    std::uint64_t page_bytes = 4096;
    std::uint64_t state_bytes = 0;  // pages of entries
    std::uint64_t leaf_pages = 0;
    std::uint64_t file_bytes = 0;  // up to the end of the last page ever used
  };

  Capacity(std::uint64_t max_bytes, Extend extend)
      : max_bytes_(max_bytes), extend_(std::move(extend)) {}

  // What a growing request is refused for is remembered as what has to fit again: see full().
  Verdict admit(const wire::WriteRequest& request, const keyspace::Tree& tree) override;
  bool admit_expiry() override;

  // All that was admitted is on disk.
  void committed(const Used& used);
  // All that was admitted is gathered by the store: it has been answered, but is not on disk yet.
  void gathered() { gathered_ = pending_; }
  // What was admitted after the last of these two is given up.
  void withdrawn() { pending_ = gathered_; }
  // The disk had no room for what was admitted.
  void failed();

  // Looks again whether there is room; to be called about once a second.
  void probe();

  // Why requests that grow the state are refused; empty when they are not.
  std::string full() const;

 private:
  struct Need {
    std::uint64_t writes = 0;  // each may copy a leaf page
    std::uint64_t bytes = 0;   // of new pages
    std::uint64_t requests = 0;
    Need operator+(const Need& other) const {
      return {writes + other.writes, bytes + other.bytes, requests + other.requests};
    }
  };

  std::uint64_t stored(std::uint64_t key_bytes, std::uint64_t record_bytes) const;
  std::uint64_t stored(const wire::Write& write) const;
  std::uint64_t stored(const keyspace::Update& update) const;
  Need need_of(const wire::WriteRequest& request) const;
  std::uint64_t growth_of(const wire::WriteRequest& request, const keyspace::Tree& tree) const;
  std::uint64_t pages_for(const Need& need) const;
  std::uint64_t reserve() const;
  std::uint64_t headroom() const;
  bool ensure(std::uint64_t bytes);
  Verdict admit_growing(const Need& need, std::uint64_t growth);
  Verdict admit_other(const wire::WriteRequest& request, const Need& need);
  Verdict refuse(std::uint64_t growth, std::uint64_t bytes);
  Verdict count(const Need& need);

  std::uint64_t max_bytes_;
  Extend extend_;
  Used used_;
  Need pending_;   // admitted, not yet on disk
  Need gathered_;  // of that: answered already
  std::uint64_t ensured_ = 0;
  bool disk_full_ = false;           // the last attempt to extend the file failed
  std::uint64_t wanted_growth_ = 0;  // of the request last refused, while full
  std::uint64_t wanted_bytes_ = 0;
};

}  // namespace canopy::shard
