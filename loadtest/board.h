// What of each writer's updates has been acknowledged, shared by the processes of a run: made
// before they are forked. A writer has one process that says so; all may read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace canopy::loadtest {

class Board {
 public:
  explicit Board(std::uint32_t writers);

  void acknowledge(std::uint32_t writer, std::uint32_t counter) {
    counters_[writer].store(counter, std::memory_order_release);
  }
  // One element per writer.
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
