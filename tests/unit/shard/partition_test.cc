#include "shard/partition.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using namespace std::chrono_literals;

class PartitionTest : public testing::Test {
 protected:
  void put(const std::string& key, const std::string& value, std::int64_t ttl_ms = 0) {
    partition_.stage({.key = key, .value = value, .ttl_ms = ttl_ms}, now_);
  }

  base::TimePoint now_{1h};
  Partition partition_{{.subtree = "/p/"}, 7, keyspace::Tree()};
};

TEST_F(PartitionTest, GivesContiguousRevisionsAndShowsOnlyWhatIsCommitted) {
  put("/p/a", "1");
  put("/p/b", "2");
  EXPECT_EQ(partition_.tree().size(), 0u);
  EXPECT_EQ(partition_.revision(), Revision(7, 0));
  const auto batches = partition_.commit(now_);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].after, Revision(7, 0));
  EXPECT_EQ(batches[0].updates[0]->revision, Revision(7, 1));
  EXPECT_EQ(batches[0].updates[1]->revision, Revision(7, 2));
  EXPECT_EQ(partition_.tree().size(), 2u);
  EXPECT_TRUE(partition_.commit(now_).empty());
  EXPECT_EQ(partition_.heartbeat(now_).after, Revision(7, 2));
}

TEST_F(PartitionTest, DeletesWhatADeletionNames) {
  put("/p/a", "1");
  partition_.stage({.key = "/p/a", .deletes = true}, now_);
  partition_.commit(now_);
  EXPECT_EQ(partition_.tree().size(), 0u);
}

TEST_F(PartitionTest, ExpiryIsAnOrdinaryDeletion) {
  put("/p/a", "1", 1000);
  partition_.commit(now_);
  partition_.expire(now_ + 999ms);
  EXPECT_TRUE(partition_.staged().empty());
  partition_.expire(now_ + 1s);
  const auto batches = partition_.commit(now_ + 1s);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_TRUE(batches[0].updates[0]->deleted);
  EXPECT_EQ(batches[0].updates[0]->revision, Revision(7, 2));
  EXPECT_EQ(partition_.tree().size(), 0u);
}

TEST_F(PartitionTest, AnOverwriteEndsTheOldExpiry) {
  put("/p/a", "1", 1000);
  partition_.commit(now_);
  put("/p/a", "2");
  partition_.commit(now_);
  partition_.expire(now_ + 1h);
  EXPECT_TRUE(partition_.staged().empty());
  EXPECT_EQ(partition_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, AWriteThatWaitsForItsCommitIsNotExpiredByItsPredecessor) {
  put("/p/a", "1", 1000);
  partition_.commit(now_);
  put("/p/a", "2");
  partition_.expire(now_ + 2s);
  partition_.commit(now_ + 2s);
  EXPECT_EQ(partition_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, ExpiresBeforeAWriteThatComesLater) {
  put("/p/a", "1", 1000);
  partition_.commit(now_);
  now_ += 2s;
  put("/p/b", "2");
  const auto batches = partition_.commit(now_);
  ASSERT_EQ(batches[0].updates.size(), 2u);
  EXPECT_EQ(batches[0].updates[0]->key, "/p/a");
  EXPECT_TRUE(batches[0].updates[0]->deleted);
}

TEST_F(PartitionTest, RecoveredEntriesExpireToo) {
  keyspace::Tree recovered;
  recovered.put(std::make_shared<keyspace::Update>(
      keyspace::Update{.key = "/p/a", .value = "1", .expires_at_ms = 3'600'500}));
  Partition partition({.subtree = "/p/"}, 8, std::move(recovered));
  partition.expire(now_ + 499ms);
  EXPECT_TRUE(partition.staged().empty());
  partition.expire(now_ + 500ms);
  EXPECT_EQ(partition.staged().size(), 1u);
}

TEST_F(PartitionTest, WithoutRetentionNothingIsKept) {
  Partition partition({.subtree = "/p/", .retain = false}, 1, keyspace::Tree());
  partition.stage({.key = "/p/a", .value = "1", .ttl_ms = 5}, now_);
  EXPECT_EQ(partition.commit(now_)[0].updates.size(), 1u);
  EXPECT_EQ(partition.tree().size(), 0u);
  EXPECT_EQ(partition.log().size(), 1u);
}

TEST_F(PartitionTest, WhatComesThroughTwoProxiesIsAppliedOnce) {
  const wire::Write write{.key = "/p/a", .value = "1", .uuid = "0123456789abcdef", .once = true};
  EXPECT_TRUE(partition_.stage(write, now_));
  EXPECT_FALSE(partition_.stage(write, now_));
  for (std::size_t i = 0; i < Partition::max_recent_uuids; ++i) {
    auto other = write;
    other.uuid = std::to_string(i);
    EXPECT_TRUE(partition_.stage(other, now_));
  }
  EXPECT_TRUE(partition_.stage(write, now_)) << "the table of uuids is bounded";
}

TEST_F(PartitionTest, ANewEpochGoesOnWithWhatIsCommitted) {
  put("/p/a", "1", 1000);
  partition_.commit(now_);
  put("/p/b", "2");
  partition_.expire(now_ + 2s);
  partition_.begin_epoch(9);
  EXPECT_TRUE(partition_.staged().empty());
  EXPECT_EQ(partition_.revision(), Revision(9, 0));
  EXPECT_EQ(partition_.tree().size(), 1u);
  partition_.expire(now_ + 2s);
  ASSERT_EQ(partition_.staged().size(), 1u) << "what was about to expire still does";
  EXPECT_EQ(partition_.staged()[0]->revision, Revision(9, 1));
}

TEST_F(PartitionTest, SplitsWhatOneMessageCannotHold) {
  const std::string value(base::max_chunk_bytes / 3, 'v');
  for (int i = 0; i < 7; ++i) put("/p/" + std::to_string(i), value);
  const auto batches = partition_.commit(now_);
  EXPECT_EQ(batches.size(), 4u);
  Revision position(7, 0);
  for (const auto& batch : batches) {
    EXPECT_EQ(batch.after, position);
    position = batch.end();
  }
  EXPECT_EQ(position, partition_.revision());
}

}  // namespace
}  // namespace canopy::shard
