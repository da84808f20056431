#include "loadtest/ack_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace canopy::loadtest {

void AckTable::Unmap::operator()(Counter* counters) const { munmap(counters, bytes); }

AckTable::AckTable(std::uint32_t writers)
    : writers_(writers),
      counters_(nullptr, Unmap{std::max<std::size_t>(1, writers) * sizeof(Counter)}) {
  static_assert(Counter::is_always_lock_free);
  // The kernel zeroes the pages.
  void* const memory = mmap(nullptr, counters_.get_deleter().bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  counters_.reset(static_cast<Counter*>(memory));
}

std::vector<std::uint32_t> AckTable::read() const {
  std::vector<std::uint32_t> counters(writers_);
  for (std::uint32_t i = 0; i < writers_; ++i) {
    counters[i] = counters_[i].load(std::memory_order_acquire);
  }
  return counters;
}

}  // namespace canopy::loadtest
