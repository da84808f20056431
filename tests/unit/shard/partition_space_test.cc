// A partition whose store has no room for everything.
#include <gtest/gtest.h>

#include "shard/partition.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;
using namespace std::chrono_literals;

// Says what the test wants.
struct ScriptedSpace final : Space {
  Verdict verdict = Verdict::fits;
  int expiries = 0;  // to be taken
  Verdict admit(const wire::WriteRequest&, const keyspace::Tree&) override { return verdict; }
  bool admit_expiry() override { return expiries-- > 0; }
};

class PartitionSpaceTest : public testing::Test {
 protected:
  Partition::Staged put(const std::string& key, std::uint64_t number, std::int64_t ttl_ms = 0) {
    return partition_.stage(1,
                            {.reply_to = "client",
                             .request = {.client = "0123456789abcdef",
                                         .number = number,
                                         .settled = 1,
                                         .writes = {{.key = key, .value = "v", .ttl_ms = ttl_ms}}}},
                            now_);
  }

  base::TimePoint now_{1h};
  ScriptedSpace space_;
  Partition partition_{{.subtree = "/p/", .space = &space_}, 7, 1, keyspace::Tree()};
};

TEST_F(PartitionSpaceTest, WhatDoesNotFitIsAnsweredAndItsNeighboursAreCommitted) {
  put("/p/a", 1);
  space_.verdict = Space::Verdict::full;
  EXPECT_EQ(put("/p/b", 2).fault, Fault::full);
  space_.verdict = Space::Verdict::fits;
  put("/p/c", 3);
  const auto committed = partition_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 3u);
  EXPECT_EQ(committed.replies[0].answer.fault, Fault::none);
  EXPECT_EQ(committed.replies[1].answer.fault, Fault::full);
  EXPECT_EQ(committed.replies[2].answer.revision, Revision(7, 2));
  EXPECT_EQ(partition_.tree().size(), 2u);
  EXPECT_TRUE(put("/p/a", 1).repeated) << "applied before, however full it is now";
}

TEST_F(PartitionSpaceTest, ARequestThatComesAfterTheNextCommitIsLeftAsItWas) {
  space_.verdict = Space::Verdict::commit_first;
  wire::RoutedRequest routed{.reply_to = "client",
                             .request = {.client = "0123456789abcdef",
                                         .number = 1,
                                         .settled = 1,
                                         .writes = {{.key = "/p/a", .value = "v"}}}};
  EXPECT_TRUE(partition_.stage(1, std::move(routed), now_).later);
  EXPECT_FALSE(partition_.pending());
  space_.verdict = Space::Verdict::fits;
  EXPECT_EQ(partition_.stage(1, std::move(routed), now_).fault, Fault::none);
  EXPECT_EQ(partition_.commit(now_).replies.at(0).answer.revision, Revision(7, 1));
}

TEST_F(PartitionSpaceTest, WhatIsWithdrawnMayBeSentAgain) {
  put("/p/kept", 1, 1000);
  partition_.commit(now_);
  put("/p/a", 2);
  put("/p/kept", 3);
  const auto replies = partition_.withdraw();
  ASSERT_EQ(replies.size(), 2u);
  for (const Reply& reply : replies) {
    EXPECT_EQ(reply.answer.fault, Fault::partition_unavailable);
    EXPECT_EQ(reply.answer.revision, Revision());
  }
  EXPECT_FALSE(partition_.pending());
  EXPECT_EQ(partition_.revision(), Revision(7, 1));
  EXPECT_FALSE(put("/p/a", 2).repeated);
  EXPECT_EQ(partition_.commit(now_).replies.at(0).answer.revision, Revision(7, 2));
  space_.expiries = 10;
  partition_.expire(now_ + 1s);
  EXPECT_EQ(partition_.staged().size(), 1u) << "the entry that was not overwritten expires";
}

TEST_F(PartitionSpaceTest, ExpiryGoesOnAsThereIsRoom) {
  for (std::uint64_t i = 1; i <= 5; ++i) put("/p/" + std::to_string(i), i, 1000);
  partition_.commit(now_);
  space_.expiries = 3;
  partition_.expire(now_ + 1s);
  EXPECT_EQ(partition_.staged().size(), 3u);
  partition_.commit(now_);
  space_.expiries = 10;
  partition_.expire(now_ + 1s);
  EXPECT_EQ(partition_.staged().size(), 2u);
}

}  // namespace
}  // namespace canopy::shard
