// Decisions of a leader while its partition is split.
#include <gtest/gtest.h>

#include "core/wire/entry.h"
#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;
using namespace std::chrono_literals;

class PartitionSplitTest : public testing::Test {
 protected:
  void put(const std::string& key, const std::string& value, std::int64_t ttl_ms) {
    partition_.stage(1, {.request = {.writes = {{.key = key, .value = value, .ttl_ms = ttl_ms}}}},
                     now_);
  }
  Partition::Staged request(std::vector<wire::Write> writes, std::uint64_t number) {
    return partition_.stage(1,
                            {.reply_to = "client",
                             .request = {.client = "0123456789abcdef",
                                         .number = number,
                                         .settled = 1,
                                         .writes = std::move(writes)}},
                            now_);
  }

  base::TimePoint now_{1h};
  Led led_{};
  Partition& partition_ = led_.partition();
};

TEST_F(PartitionSplitTest, RefusesKeysOfThePartAfterTheSplitEntry) {
  put("/p/a/1", "1", 1000);
  put("/p/b", "1", 1000);
  led_.commit(now_);
  partition_.split({"/p/a/", "/q/", "/p/"});
  EXPECT_EQ(request({{.key = "/p/a/2", .value = "2"}}, 1).fault, Fault::partition_unavailable);
  EXPECT_EQ(request({{.key = "/p/b2", .value = "2"}}, 2).fault, Fault::none);
  const auto batches = led_.commit(now_).batches;
  partition_.split({"/p/a/"});
  EXPECT_FALSE(partition_.staged()) << "once";
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_TRUE(batches[0].updates[0]->splits);
  EXPECT_EQ(led_.tree().find("/p/a/1"), nullptr);
  EXPECT_EQ(request({{.key = "/p/a/2", .value = "2"}}, 1).fault, Fault::partition_unavailable);
  partition_.expire(now_ + 2s);
  for (const auto& batch : led_.commit(now_).batches) {
    for (const auto& update : batch.updates) EXPECT_EQ(update->key, "/p/b");
  }
}

TEST_F(PartitionSplitTest, RecognisesRepeatedUpdatesFromBefore) {
  const auto old =
      wire::make_update({.key = "/p/a", .value = "1", .uuid = "u", .revision = Revision(1, 1)});
  Partition part({.subtree = "/p/"}, led_.replica(), {old});
  const wire::Write again{.key = "/p/a", .value = "1", .uuid = "u", .once = true};
  EXPECT_TRUE(part.stage(1, {.request = {.writes = {again}}}, now_).repeated);
}

}  // namespace
}  // namespace canopy::shard
