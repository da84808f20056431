#include "proxy/write_queue.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace canopy::proxy {
namespace {

constexpr std::size_t max_bytes = std::size_t{64} << 20;

wire::RoutedRequest request_of(std::size_t bytes, std::size_t writes = 1) {
  wire::RoutedRequest routed{.reply_to = "peer", .request = {}};
  for (std::size_t i = 0; i < writes; ++i) {
    routed.request.writes.push_back({.key = "/k", .value = std::string(bytes / writes, 'x')});
  }
  return routed;
}

std::size_t requests_in(const std::string& message) {
  const auto decoded = wire::decode_to_shard(message);
  EXPECT_TRUE(decoded);
  return std::get<wire::Writes>(*decoded).requests.size();
}

// With a shard that accepts nothing, waiting bytes are bounded, whatever the size of requests.
TEST(WriteQueue, IsBoundedInBytes) {
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{100'000}, std::size_t{4} << 20}) {
    WriteQueue queue;
    std::size_t accepted = 0;
    std::size_t highest = 0;
    std::size_t refused = 0;
    for (; refused < 5 && accepted < 3'000'000; queue.flush()) {
      queue.add(request_of(bytes), max_bytes) ? ++accepted : ++refused;
      highest = std::max(highest, queue.bytes());
    }
    EXPECT_GT(accepted * (bytes + 64), max_bytes / 2) << "and not for want of room";
    EXPECT_EQ(refused, 5u);
    EXPECT_LE(highest, max_bytes + (std::size_t{4} << 20));
  }
}

TEST(WriteQueue, TakesOneRequestOfAnySize) {
  WriteQueue queue;
  EXPECT_TRUE(queue.add(request_of(4 << 20, 4), 1 << 16));
  EXPECT_FALSE(queue.add(request_of(1), 1 << 16));
  queue.flush();
  EXPECT_FALSE(queue.add(request_of(1), 1 << 16));
  queue.pop_front();
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_TRUE(queue.add(request_of(1), 1 << 16));
}

TEST(WriteQueue, MessagesStayWithinAChunk) {
  WriteQueue queue;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(queue.add(request_of(100'000), max_bytes));
  queue.flush();
  std::size_t requests = 0;
  for (; !queue.empty(); queue.pop_front(), queue.flush()) {
    EXPECT_LE(queue.front().size(), base::max_chunk_bytes + 4096);
    requests += requests_in(queue.front());
  }
  EXPECT_EQ(requests, 10u);
  EXPECT_EQ(queue.take_enclosed(), 10u);
  EXPECT_EQ(queue.take_enclosed(), 0u);
  EXPECT_EQ(queue.bytes(), 0u);
}

// Each turn brings a few requests: they go in one message once the shard accepts messages again.
TEST(WriteQueue, GathersWhileAMessageWaits) {
  WriteQueue queue;
  for (int turn = 0; turn < 100; ++turn) {
    ASSERT_TRUE(queue.add(request_of(10), max_bytes));
    queue.flush();
  }
  EXPECT_EQ(requests_in(queue.front()), 1u);
  queue.pop_front();
  queue.flush();
  EXPECT_EQ(requests_in(queue.front()), 99u);
}

// For another shard that now leads the partition.
TEST(WriteQueue, ReturnsEverythingInOrder) {
  WriteQueue queue;
  for (int i = 0; i < 5; ++i) {
    auto request = request_of(200'000);
    request.request.number = static_cast<std::uint64_t>(i);
    queue.add(std::move(request), max_bytes);
  }
  const auto all = queue.take_all();
  ASSERT_EQ(all.size(), 5u);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].request.number, i);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace canopy::proxy
