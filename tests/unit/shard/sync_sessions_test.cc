#include "shard/sync_sessions.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using namespace std::chrono_literals;

class SyncSessionsTest : public testing::Test {
 protected:
  void write(const std::string& key, std::size_t bytes = 10) {
    partition_.stage({.key = key, .value = std::string(bytes, 'v')}, now_);
    partition_.commit(now_);
  }
  std::optional<SyncSessions::Step> next() {
    return sessions_.next([this](const std::string&) { return served_ ? &partition_ : nullptr; },
                          now_);
  }
  wire::Sync ask(Revision since, std::uint64_t request = 1) {
    return {.request = request, .partition = "/p/", .since = since};
  }

  base::TimePoint now_{1h};
  bool served_ = true;
  Partition partition_{{.subtree = "/p/", .log_updates = 50}, 3, keyspace::Tree()};
  SyncSessions sessions_;
};

TEST_F(SyncSessionsTest, ReplaysWhatTheLogCovers) {
  for (int i = 0; i < 5; ++i) write("/p/a");
  ASSERT_TRUE(sessions_.open("peer", ask(Revision(3, 2)), partition_, now_));
  const auto step = next();
  ASSERT_TRUE(step);
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::replay);
  EXPECT_EQ(step->chunk.updates.size(), 3u);
  EXPECT_EQ(step->chunk.revision, Revision(3, 5));
  EXPECT_TRUE(step->chunk.last);
  EXPECT_EQ(sessions_.size(), 0u);
}

TEST_F(SyncSessionsTest, SendsASnapshotOfItsCutUnderCredit) {
  for (int i = 0; i < 40; ++i) write("/p/" + std::to_string(100 + i), base::max_chunk_bytes / 4);
  ASSERT_TRUE(sessions_.open("peer", ask(Revision()), partition_, now_));
  const Revision cut = partition_.revision();
  std::size_t entries = 0;
  for (unsigned i = 0; i < wire::initial_credit; ++i) {
    const auto step = next();
    ASSERT_TRUE(step);
    EXPECT_EQ(step->chunk.revision, cut);
    entries += step->chunk.updates.size();
    write("/p/later" + std::to_string(i));
  }
  EXPECT_FALSE(next()) << "no credit is left";
  EXPECT_FALSE(sessions_.waiting());
  bool last = false;
  while (!last) {
    sessions_.credit("peer", {.request = 1, .chunks = 1});
    const auto step = next();
    ASSERT_TRUE(step);
    entries += step->chunk.updates.size();
    last = step->chunk.last;
  }
  EXPECT_EQ(entries, 40u);
}

TEST_F(SyncSessionsTest, AReplayThatTheLogLeavesBehindBecomesASnapshot) {
  for (int i = 0; i < 10; ++i) write("/p/a", base::max_chunk_bytes);
  ASSERT_TRUE(sessions_.open("peer", ask(Revision(3, 1)), partition_, now_));
  EXPECT_EQ(next()->chunk.kind, wire::Chunk::Kind::replay);
  for (int i = 0; i < 100; ++i) write("/p/b");
  const auto step = next();
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::snapshot);
  EXPECT_EQ(step->chunk.revision, partition_.revision());
}

TEST_F(SyncSessionsTest, TakesTurnsBetweenPeers) {
  for (int i = 0; i < 9; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open("a", ask(Revision()), partition_, now_);
  sessions_.open("b", ask(Revision()), partition_, now_);
  EXPECT_NE(next()->peer, next()->peer);
}

TEST_F(SyncSessionsTest, ALaterRequestReplacesAnEarlierOne) {
  write("/p/a");
  sessions_.open("peer", ask(Revision(), 1), partition_, now_);
  sessions_.open("peer", ask(Revision(), 2), partition_, now_);
  EXPECT_EQ(sessions_.size(), 1u);
  EXPECT_EQ(next()->chunk.request, 2u);
  sessions_.credit("peer", {.request = 1, .chunks = 5});
}

TEST_F(SyncSessionsTest, ForgetsTheIdleAndTheUnserved) {
  for (int i = 0; i < 20; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open("peer", ask(Revision()), partition_, now_);
  sessions_.drop_idle(now_ + SyncSessions::patience);
  EXPECT_EQ(sessions_.size(), 1u);
  sessions_.drop_idle(now_ + SyncSessions::patience + 1s);
  EXPECT_EQ(sessions_.size(), 0u);
  sessions_.open("peer", ask(Revision()), partition_, now_);
  served_ = false;
  EXPECT_FALSE(next());
  EXPECT_EQ(sessions_.size(), 0u);
}

TEST_F(SyncSessionsTest, AnEmptyPartitionAnswersWithOneEmptyChunk) {
  sessions_.open("peer", ask(Revision()), partition_, now_);
  const auto step = next();
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->chunk.last);
  EXPECT_TRUE(step->chunk.updates.empty());
}

}  // namespace
}  // namespace canopy::shard
