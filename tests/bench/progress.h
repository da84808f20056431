// Counters of a run in a file that reader, publisher and driver map. Each counter has one writer.
// measure.py reads them in this order.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace canopy::bench {

struct Progress {
  // Written by the reader. Those marked * count from the last `mark`.
  std::atomic<std::uint64_t> subscribed{0};  // subscribers that the server has answered
  std::atomic<std::uint64_t> reached{0};     // subscribers that have received an update
  std::atomic<std::uint64_t> closed{0};      // subscribers that the server has disconnected
  std::atomic<std::uint64_t> delivered{0};   // * updates, of all subscribers
  std::atomic<std::uint64_t> slowest{0};     // * updates of the subscriber with the fewest
  std::atomic<std::uint64_t> bytes{0};       // * of all subscribers
  // Written by the publisher.
  std::atomic<std::uint64_t> sent{0};  // updates of this run
};
static_assert(sizeof(Progress) == 7 * 8 && std::atomic<std::uint64_t>::is_always_lock_free);

// Null when the file, which must be as large as Progress, cannot be mapped. Never unmapped.
inline Progress* map_progress(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<Progress*>(memory);
}

}  // namespace canopy::bench
