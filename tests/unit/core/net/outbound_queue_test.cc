#include "core/net/outbound_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace canopy::net {
namespace {

Buffer buffer(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

// What would be written next.
std::string gathered(const OutboundQueue& queue, std::size_t vectors = 64) {
  std::array<iovec, 64> all;
  const std::size_t used = queue.gather(std::span(all).subspan(0, vectors));
  std::string bytes;
  for (std::size_t i = 0; i < used; ++i) {
    bytes.append(static_cast<const char*>(all[i].iov_base), all[i].iov_len);
  }
  return bytes;
}

TEST(OutboundQueue, SendsInOrderAndHoldsSharedBuffersByReference) {
  OutboundQueue queue;
  const Buffer shared = buffer("shared");
  queue.append("a");
  queue.push(shared);
  queue.append("b");
  queue.append("c");
  EXPECT_EQ(queue.bytes(), 9u);
  EXPECT_EQ(gathered(queue), "asharedbc");
  EXPECT_EQ(gathered(queue, 2), "ashared");
  EXPECT_EQ(shared.use_count(), 2);
  queue.consume(3);
  EXPECT_EQ(gathered(queue), "aredbc");
  queue.consume(4);
  EXPECT_EQ(shared.use_count(), 1) << "what is sent is let go of";
  EXPECT_EQ(gathered(queue), "bc");
  queue.append("d");
  EXPECT_EQ(gathered(queue), "bcd");
  queue.consume(3);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(OutboundQueue, AppendsNothingToABufferThatIsSent) {
  OutboundQueue queue;
  queue.append("first");
  queue.consume(5);
  queue.append("second");
  EXPECT_EQ(gathered(queue), "second");
}

TEST(OutboundQueue, AnythingThatGoesInComesOut) {
  std::mt19937 random(3);
  OutboundQueue queue;
  std::string in;
  std::string out;
  for (int i = 0; i < 5000; ++i) {
    const std::string bytes(random() % 3000, static_cast<char>('a' + random() % 26));
    in += bytes;
    if (random() % 2 == 0) {
      queue.push(buffer(bytes));
    } else {
      queue.append(bytes);
    }
    const std::string next = gathered(queue, 1 + random() % 8);
    const std::size_t sent = next.empty() ? 0 : random() % (next.size() + 1);
    out += next.substr(0, sent);
    queue.consume(sent);
    ASSERT_EQ(queue.bytes(), in.size() - out.size());
  }
  while (!queue.empty()) {
    const std::string next = gathered(queue);
    out += next;
    queue.consume(next.size());
  }
  EXPECT_EQ(out, in);
}

}  // namespace
}  // namespace canopy::net
