// A file that reserves disk space for a full disk. Giving it up lets the database write deletions
// and compact. Not thread-safe.
//
// The file's blocks are allocated with fallocate(2). A file system without it has no reserve: space
// is low when less than the reserve is free.
#pragma once

#include <cstdint>
#include <string>

#include "core/net/descriptor.h"

namespace canopy::shard {

class SpaceReserve {
 public:
  static constexpr std::uint64_t min_free_bytes = std::uint64_t{8} << 20;

  // Reserves `bytes` in the file `path`, at most an eighth of its disk.
  SpaceReserve(std::string path, std::uint64_t bytes);

  // Updates low(), and completes the reserve if there is room for it.
  void check();
  // Frees the reserve. True when that freed blocks.
  bool give_up();
  // True when the reserve is incomplete, or little space is free beside it.
  bool low() const { return low_; }
  bool whole() const;
  std::uint64_t bytes() const { return bytes_; }  // of the complete reserve

 private:
  std::uint64_t min_free() const;
  bool allocate();

  std::string path_;
  net::Descriptor file_;
  std::uint64_t bytes_;
  bool low_ = false;
};

}  // namespace canopy::shard
