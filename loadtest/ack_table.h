// The last acknowledged update of each writer, in memory that the processes of a run share: the
// parent makes it before it forks them. One process writes an entry; any process may read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace canopy::loadtest {

class AckTable {
 public:
  explicit AckTable(std::uint32_t writers);

  void acknowledge(std::uint32_t writer, std::uint32_t counter) {
    counters_[writer].store(counter, std::memory_order_release);
  }
  // The counter of each writer's last acknowledged update; 0: none.
  std::vector<std::uint32_t> read() const;

 private:
  using Counter = std::atomic<std::uint32_t>;
  struct Unmap {
    std::size_t bytes;
    void operator()(Counter* counters) const;
  };

  std::uint32_t writers_;
  std::unique_ptr<Counter[], Unmap> counters_;
};

}  // namespace canopy::loadtest
