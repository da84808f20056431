// A partition whose state has no room for everything.
#include <gtest/gtest.h>

#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using wire::Fault;
using namespace std::chrono_literals;

class PartitionSpaceTest : public testing::Test {
 protected:
  Fault put(const std::string& key, std::size_t bytes, bool deletes = false) {
    return led_.partition()
        .stage(1,
               {.reply_to = "client",
                .request = {.client = "0123456789abcdef",
                            .number = ++number_,
                            .settled = number_,
                            .writes = {{.key = key,
                                        .value = std::string(bytes, 'v'),
                                        .deletes = deletes}}}},
               now_)
        .fault;
  }

  base::TimePoint now_{1h};
  std::uint64_t number_ = 0;
  Led led_{{.subtree = "/p/", .max_state_bytes = 10'000}};
};

TEST_F(PartitionSpaceTest, ARequestThatDoesNotFitIsRefusedAndOthersAreCommitted) {
  EXPECT_EQ(put("/p/a", 5000), Fault::none);
  EXPECT_EQ(put("/p/b", 6000), Fault::busy) << "until that is committed";
  EXPECT_EQ(put("/p/c", 4000), Fault::none);
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 3u);
  EXPECT_EQ(committed.replies[0].answer.fault, Fault::busy) << "it waits for nothing";
  EXPECT_EQ(led_.tree().size(), 2u);
  EXPECT_EQ(put("/p/d", 2000), Fault::full) << "what is committed counts as well";
}

TEST_F(PartitionSpaceTest, AWriteThatDoesNotGrowTheStateIsAlwaysAccepted) {
  put("/p/a", 5000);
  led_.commit(now_);
  led_.partition().set_low("no room");
  EXPECT_EQ(put("/p/a", 5000), Fault::none);
  EXPECT_EQ(put("/p/a", 5001), Fault::full);
  EXPECT_EQ(put("/p/b", 0), Fault::full);
  EXPECT_EQ(put("/p/a", 0, true), Fault::none);
  led_.commit(now_);
  EXPECT_EQ(led_.tree().size(), 0u);
  led_.partition().set_low("");
  EXPECT_EQ(put("/p/b", 9000), Fault::none) << "the deletion has made room";
}

TEST_F(PartitionSpaceTest, ExpiryNeedsNoRoom) {
  const wire::Write write{.key = "/p/a", .value = "v", .ttl_ms = 1000};
  led_.partition().stage(1, {.request = {.writes = {write}}}, now_);
  led_.commit(now_);
  led_.partition().set_low("no room");
  led_.partition().expire(now_ + 1s);
  EXPECT_TRUE(led_.partition().staged());
}

}  // namespace
}  // namespace canopy::shard
