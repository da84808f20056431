// Why a call failed. A plain value; docs/reference/protocol.md has the table of numbers.
#pragma once

#include <canopy/export.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace canopy {

// Numbers 1 to 63 are the protocol's (table: docs/reference/protocol.md); those from 64 on are
// the library's own. The ones that programs may want to tell apart have a name here.
class CANOPY_EXPORT Error : public std::runtime_error {
 public:
  enum Number : unsigned {
    too_large = 4,
    bad_key = 5,
    bad_subtree = 6,
    several_partitions = 8,  // the writes of a batch belong to more than one partition
    revision_mismatch = 10,  // if_revision is not that of the entry: see revision()
    not_kept = 11,           // if_revision on a partition that keeps no state
    forbidden = 14,          // the client's key does not permit it
    full = 16,               // the partition has no room for it; deletions make room
    busy = 33,               // too many calls wait already
    timeout = 64,            // no success in time; a write may still be, or have been, applied
    closed = 65,             // the client was destroyed first; a write may still be applied
    cancelled = 66,          // CallOptions::stop ended the call; a write may still be applied
  };

  Error(unsigned number, const std::string& text, std::uint64_t revision = 0);
  Error(const Error&);
  Error& operator=(const Error&);
  ~Error() override;

  unsigned number() const noexcept { return number_; }
  // "revision_mismatch", "timeout"; empty for a number of a newer cluster.
  const char* name() const noexcept;
  // Whether the same call may succeed later. The client has retried such refusals of the cluster
  // until the timeout of the call.
  bool retriable() const noexcept { return number_ >= 32 && number_ < closed; }
  // revision_mismatch: of the entry that is there; 0: there is none.
  std::uint64_t revision() const noexcept { return revision_; }

 private:
  unsigned number_;
  std::uint64_t revision_;
};

}  // namespace canopy
