// A file that holds disk space for when there is none left: given up, it lets a database delete,
// and compact what it has deleted. Not thread-safe.
//
// The file's blocks are allocated (fallocate). A file system that cannot do this has no reserve:
// space then is low when less than the reserve is free.
#pragma once

#include <cstdint>
#include <string>

#include "core/net/descriptor.h"

namespace canopy::shard {

class SpaceReserve {
 public:
  static constexpr std::uint64_t min_free_bytes = std::uint64_t{8} << 20;

  // Holds `bytes` in the file `path`, but not more than an eighth of its disk.
  SpaceReserve(std::string path, std::uint64_t bytes);

  // Makes the reserve if it is not whole and there is room for it.
  void look();
  // Whether that has freed anything.
  bool give_up();
  // Whether the reserve is not whole, or little is free besides.
  bool low() const { return low_; }
  bool whole() const;
  std::uint64_t bytes() const { return bytes_; }  // when it is whole

 private:
  std::uint64_t min_free() const;
  bool allocate();

  std::string path_;
  net::Descriptor file_;
  std::uint64_t bytes_;
  bool low_ = false;
};

}  // namespace canopy::shard
