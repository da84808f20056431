#include "core/wire/link_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "core/base/limits.h"

namespace canopy::wire {
namespace {

// A queue as libzmq's: full at so many messages, and then closed until half have left.
class Queue {
 public:
  explicit Queue(std::uint64_t most_bytes) : most_(queue_messages(most_bytes)) {}

  void push(std::size_t bytes) {
    if (closed_) return;
    queue_.push_back(bytes);
    bytes_ += bytes;
    closed_ = static_cast<int>(queue_.size()) == most_;
  }
  void pop() {
    if (queue_.empty()) return;
    bytes_ -= queue_.front();
    queue_.pop_front();
    if (static_cast<int>(queue_.size()) <= most_ / 2) closed_ = false;
  }
  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return queue_.size(); }

 private:
  int most_;
  std::deque<std::size_t> queue_;
  std::size_t bytes_ = 0;
  bool closed_ = false;
};

void publish(Queue& queue, std::size_t frame) {
  queue.push(frame);
  for (std::size_t i = padding_messages(frame); i > 0; --i) queue.push(64);
}

TEST(LinkQueue, BytesAreBoundedWhateverTheSizes) {
  constexpr std::size_t most = std::size_t{64} << 20;
  for (const std::size_t largest :
       {std::size_t{100}, base::max_chunk_bytes, base::max_value_bytes}) {
    Queue queue(most);
    std::minstd_rand random(1);
    std::uniform_int_distribution<std::size_t> size(1, largest);
    std::size_t highest = 0;
    for (int i = 0; i < 100'000; ++i) {
      publish(queue, size(random));
      if (i % 3 == 0) queue.pop();
      highest = std::max(highest, queue.bytes());
    }
    EXPECT_LE(highest, most + 2 * largest);
  }
}

TEST(LinkQueue, LargeOnesAloneAreBounded) {
  constexpr std::size_t most = std::size_t{16} << 20;
  Queue queue(most);
  for (int i = 0; i < 1000; ++i) publish(queue, base::max_value_bytes);
  EXPECT_LE(queue.bytes(), most + base::max_value_bytes);
  EXPECT_GE(queue.bytes(), most / 2);
}

// 10,000 commits a second, and a proxy that stands still for 100 ms.
TEST(LinkQueue, SmallOnesArePackedByNumber) {
  Queue queue(std::uint64_t{16} << 20);
  for (int i = 0; i < 1000; ++i) publish(queue, 200);
  EXPECT_EQ(queue.size(), 1000u);
}

TEST(LinkQueue, AFrameOfOneUnitNeedsNoOther) {
  EXPECT_EQ(padding_messages(0), 0u);
  EXPECT_EQ(padding_messages(queue_unit_bytes), 0u);
  EXPECT_EQ(padding_messages(queue_unit_bytes + 1), 1u);
  EXPECT_EQ(queue_messages(1), 1);
  EXPECT_EQ(queue_batches(1), 1);
  EXPECT_EQ(queue_batches(std::uint64_t{16} << 20), 64);
}

}  // namespace
}  // namespace canopy::wire
