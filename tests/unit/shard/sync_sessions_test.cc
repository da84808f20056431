#include "shard/sync_sessions.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/limits.h"
#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using namespace std::chrono_literals;

class SyncSessionsTest : public testing::Test {
 protected:
  void write(const std::string& key, std::size_t bytes = 10) {
    stage({.key = key, .value = std::string(bytes, 'v')});
  }
  void erase(const std::string& key) { stage({.key = key, .deletes = true}); }
  void stage(wire::Write write) {
    led_.partition().stage(1, {.request = {.writes = {std::move(write)}}}, now_);
    led_.commit(now_);
  }
  // The keys of a chunk, deletions as "-key".
  std::vector<std::string> keys_of(const wire::Chunk& chunk) {
    std::vector<std::string> result;
    for (const auto& update : chunk.updates) {
      result.push_back((update->deleted ? "-" : "") + std::string(update->key));
    }
    return result;
  }
  std::optional<SyncSessions::Step> next() {
    return sessions_.next(
        [this](const std::string&) { return served_ ? &led_.replica() : nullptr; }, has_room_,
        now_);
  }
  wire::Sync ask(Revision since, std::uint64_t request = 1) {
    return {.request = request,
            .partition = "/p/",
            .since = since,
            .lineage = led_.replica().lineage()};
  }

  base::TimePoint now_{1h};
  bool served_ = true;
  std::set<ProxyId> full_;  // proxies whose queues are
  SyncSessions::HasRoom has_room_ = [this](ProxyId proxy) { return !full_.contains(proxy); };
  Led led_{{.subtree = "/p/"}, 3, {}, {.updates = 50}};
  SyncSessions sessions_;
};

TEST_F(SyncSessionsTest, ReplaysWhatTheLogCovers) {
  for (int i = 0; i < 5; ++i) write("/p/a");
  ASSERT_TRUE(sessions_.open(1, ask(Revision(3, 2)), led_.replica(), now_));
  const auto step = next();
  ASSERT_TRUE(step);
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::replay);
  EXPECT_EQ(step->chunk.updates.size(), 3u);
  EXPECT_EQ(step->chunk.revision, Revision(3, 5));
  EXPECT_TRUE(step->chunk.last);
  EXPECT_EQ(sessions_.size(), 0u);
}

TEST_F(SyncSessionsTest, SendsASnapshotOfItsCutUnderCredit) {
  for (int i = 0; i < 90; ++i) write("/p/" + std::to_string(100 + i), base::max_chunk_bytes / 4);
  ASSERT_TRUE(sessions_.open(1, ask(Revision()), led_.replica(), now_));
  const Revision cut = led_.revision();
  std::size_t entries = 0;
  for (unsigned i = 0; i < wire::initial_credit; ++i) {
    const auto step = next();
    ASSERT_TRUE(step);
    EXPECT_EQ(step->chunk.revision, cut);
    entries += step->chunk.updates.size();
    write("/p/later" + std::to_string(i));
  }
  EXPECT_FALSE(next()) << "no credit is left";
  EXPECT_FALSE(sessions_.waiting(has_room_));
  bool last = false;
  while (!last) {
    sessions_.credit(1, {.request = 1, .chunks = 1});
    const auto step = next();
    ASSERT_TRUE(step);
    entries += step->chunk.updates.size();
    last = step->chunk.last;
  }
  EXPECT_EQ(entries, 90u);
}

TEST_F(SyncSessionsTest, AReplayThatTheLogLeavesBehindBecomesASnapshot) {
  for (int i = 0; i < 10; ++i) write("/p/a", base::max_chunk_bytes);
  ASSERT_TRUE(sessions_.open(1, ask(Revision(3, 1)), led_.replica(), now_));
  EXPECT_EQ(next()->chunk.kind, wire::Chunk::Kind::replay);
  for (int i = 0; i < 100; ++i) write("/p/b");
  const auto step = next();
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::snapshot);
  EXPECT_EQ(step->chunk.revision, led_.revision());
}

TEST_F(SyncSessionsTest, TakesTurnsBetweenPeers) {
  for (int i = 0; i < 9; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  sessions_.open(2, ask(Revision()), led_.replica(), now_);
  EXPECT_NE(next()->proxy, next()->proxy);
}

TEST_F(SyncSessionsTest, ALaterRequestReplacesAnEarlierOne) {
  write("/p/a");
  sessions_.open(1, ask(Revision(), 1), led_.replica(), now_);
  sessions_.open(1, ask(Revision(), 2), led_.replica(), now_);
  EXPECT_EQ(sessions_.size(), 1u);
  EXPECT_EQ(next()->chunk.request, 2u);
  sessions_.credit(1, {.request = 1, .chunks = 5});
}

// Also when the proxy's revisions are within the log.
TEST_F(SyncSessionsTest, AnotherLineageIsAnsweredWithASnapshot) {
  for (int i = 0; i < 5; ++i) write("/p/a");
  auto sync = ask(Revision(3, 2));
  sync.lineage += 1;
  sessions_.open(1, sync, led_.replica(), now_);
  const auto step = next();
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::snapshot);
  EXPECT_EQ(step->chunk.lineage, led_.replica().lineage());
}

TEST_F(SyncSessionsTest, ASyncThatIsSentAgainGoesOnWhereItWas) {
  for (int i = 0; i < 9; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  for (std::uint32_t number = 0; number < 9; ++number) {
    sessions_.open(1, ask(Revision()), led_.replica(), now_);
    const auto step = next();
    EXPECT_EQ(step->chunk.number, number);
    EXPECT_EQ(keys_of(step->chunk), std::vector<std::string>{"/p/" + std::to_string(number)});
    EXPECT_EQ(step->chunk.last, number == 8);
  }
}

TEST_F(SyncSessionsTest, WaitsForRoomInTheQueueOfItsProxyAlone) {
  for (int i = 0; i < 3; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  for (std::uint32_t number = 0; number < 3; ++number) {
    full_ = {1};
    EXPECT_FALSE(next());
    EXPECT_FALSE(sessions_.waiting(has_room_)) << "the shard does not spin";
    full_ = {2};
    EXPECT_TRUE(sessions_.waiting(has_room_));
    const auto step = next();
    EXPECT_EQ(step->chunk.number, number);
    EXPECT_EQ(keys_of(step->chunk), std::vector<std::string>{"/p/" + std::to_string(number)});
    EXPECT_EQ(step->chunk.last, number == 2);
  }
  EXPECT_EQ(sessions_.size(), 0u);
  sessions_.open(1, ask(Revision(), 2), led_.replica(), now_);
  full_ = {1};
  sessions_.drop_idle(has_room_, now_ + SyncSessions::timeout + 1s);
  EXPECT_EQ(sessions_.size(), 0u) << "for that long it takes nothing";
}

TEST_F(SyncSessionsTest, EndWithTheirConnection) {
  for (int i = 0; i < 9; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  Led other({.subtree = "/q/"});
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  sessions_.open(2, ask(Revision()), led_.replica(), now_);
  sessions_.open(2, {.request = 1, .partition = "/q/"}, other.replica(), now_);
  sessions_.open(3, ask(Revision()), led_.replica(), now_);
  sessions_.close(2);
  EXPECT_EQ(sessions_.size(), 2u);
  std::set<ProxyId> served;
  for (int i = 0; i < 4; ++i) served.insert(next()->proxy);
  EXPECT_EQ(served, (std::set<ProxyId>{1, 3}));
}

TEST_F(SyncSessionsTest, LostCreditIsRestoredWhenTheSyncIsSentAgain) {
  for (int i = 0; i < 30; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  while (next()) {
  }
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  EXPECT_EQ(next()->chunk.number, wire::initial_credit);
}

TEST_F(SyncSessionsTest, ANewLeadershipBeginsTheAnswerAnew) {
  for (int i = 0; i < 9; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  next();
  Led anew({.subtree = "/p/"}, 5, {}, {}, now_, 2);
  const auto step =
      sessions_.next([&](const std::string&) { return &anew.replica(); }, has_room_, now_);
  EXPECT_EQ(step->chunk.number, 0u);
  EXPECT_EQ(step->chunk.lineage, 2u);
  EXPECT_EQ(step->chunk.revision, Revision(5, 0));
}

// The new leader's history contains the proxy's revisions.
TEST_F(SyncSessionsTest, RevisionsOfAnEarlierEpochAreReplayed) {
  cluster::Replica::Recovered recovered{.committed = Revision(3, 2), .history = {{3, 9, 2}}};
  Led led({.subtree = "/p/"}, 5, std::move(recovered));
  led.partition().stage(1, {.request = {.writes = {{.key = "/p/a"}}}}, now_);
  led.commit(now_);
  sessions_.open(1, {.request = 1, .partition = "/p/", .since = Revision(3, 2), .lineage = 9},
                 led.replica(), now_);
  const auto step =
      sessions_.next([&](const std::string&) { return &led.replica(); }, has_room_, now_);
  EXPECT_EQ(step->chunk.kind, wire::Chunk::Kind::replay);
  EXPECT_EQ(step->chunk.revision, Revision(5, 1));
  EXPECT_EQ(step->chunk.updates.size(), 1u);
  EXPECT_TRUE(step->chunk.last);
}

TEST_F(SyncSessionsTest, NothingIsSentBeforeItIsCommitted) {
  write("/p/a");
  led_.partition().stage(1, {.request = {.writes = {{.key = "/p/b"}}}}, now_);
  led_.propose(now_);
  sessions_.open(1, ask(Revision(3, 0)), led_.replica(), now_);
  const auto step = next();
  EXPECT_EQ(keys_of(step->chunk), std::vector<std::string>{"/p/a"});
  EXPECT_EQ(step->chunk.revision, Revision(3, 1));
}

TEST_F(SyncSessionsTest, LongCommitsLeaveRoomForMoreChunks) {
  EXPECT_EQ(SyncSessions::chunks_per_turn({}), 4u);
  EXPECT_EQ(SyncSessions::chunks_per_turn(20ms), 4u);
  EXPECT_EQ(SyncSessions::chunks_per_turn(600ms), 60u);
  EXPECT_EQ(SyncSessions::chunks_per_turn(1h), 256u);
  EXPECT_EQ(SyncSessions::chunks_per_turn(-1s), 4u);
}

TEST_F(SyncSessionsTest, ForgetsTheIdleAndTheUnserved) {
  for (int i = 0; i < 20; ++i) write("/p/" + std::to_string(i), base::max_chunk_bytes);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  sessions_.drop_idle(has_room_, now_ + SyncSessions::timeout + 1s);
  EXPECT_EQ(sessions_.size(), 1u) << "it waits for its turn, not for its proxy";
  while (next()) {
  }
  sessions_.drop_idle(has_room_, now_ + SyncSessions::timeout);
  EXPECT_EQ(sessions_.size(), 1u);
  sessions_.drop_idle(has_room_, now_ + SyncSessions::timeout + 1s);
  EXPECT_EQ(sessions_.size(), 0u);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  served_ = false;
  EXPECT_FALSE(next());
  EXPECT_EQ(sessions_.size(), 0u);
}

TEST_F(SyncSessionsTest, AnEmptyPartitionAnswersWithOneEmptyChunk) {
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  const auto step = next();
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->chunk.last);
  EXPECT_TRUE(step->chunk.updates.empty());
}

TEST_F(SyncSessionsTest, ASnapshotOpensWithTheDeletionsThatStandAtItsCut) {
  for (const char* key : {"/p/a", "/p/b", "/p/c"}) write(key);
  erase("/p/b");
  erase("/p/a");
  write("/p/a");
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  const Revision cut = led_.revision();
  erase("/p/c");
  const auto step = next();
  EXPECT_EQ(keys_of(step->chunk), (std::vector<std::string>{"-/p/b", "/p/a", "/p/c"}));
  EXPECT_EQ(step->chunk.revision, cut);
  EXPECT_EQ(step->chunk.floor, Revision());
  EXPECT_EQ(step->chunk.updates[0]->revision, Revision(3, 4));
}

TEST_F(SyncSessionsTest, DeletionsKeepToTheBoundsOfAMessageAndComeBeforeEntries) {
  const std::size_t count = wire::max_message_updates + 10;
  const auto write_all = [&](bool deletes) {
    for (std::size_t i = 0; i < count; ++i) {
      led_.partition().stage(1,
                             {.request = {.writes = {{.key = "/p/" + std::string(100, 'k') +
                                                             std::to_string(1'000'000 + i),
                                                      .deletes = deletes}}}},
                             now_);
    }
    led_.commit(now_);
  };
  write_all(false);
  write_all(true);
  write("/p/last");
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  std::vector<keyspace::UpdatePtr> all;
  for (bool last = false; !last;) {
    sessions_.credit(1, {.request = 1, .chunks = 1});
    const auto step = next();
    ASSERT_TRUE(step);
    EXPECT_LT(wire::encode(step->chunk).size(), 2 * base::max_chunk_bytes);
    EXPECT_LE(step->chunk.updates.size(), wire::max_message_updates);
    all.insert(all.end(), step->chunk.updates.begin(), step->chunk.updates.end());
    last = step->chunk.last;
  }
  ASSERT_EQ(all.size(), count + 1);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(all[i]->revision, Revision(3, count + i + 1));
  }
  EXPECT_EQ(all.back()->key, "/p/last");
}

TEST_F(SyncSessionsTest, ExaminesABoundedNumberOfDeletionsATurn) {
  const std::size_t count = SyncSessions::deletions_per_chunk + 10;
  for (std::size_t i = 0; i < 2 * count; ++i) {
    led_.partition().stage(1, {.request = {.writes = {{.key = "/p/a", .deletes = i % 2 == 0}}}},
                           now_);
  }
  led_.commit(now_);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  const auto first = next();
  EXPECT_TRUE(first->chunk.updates.empty()) << "the key is there";
  EXPECT_FALSE(first->chunk.last);
  const auto second = next();
  EXPECT_EQ(keys_of(second->chunk), std::vector<std::string>{"/p/a"});
  EXPECT_TRUE(second->chunk.last);
}

TEST_F(SyncSessionsTest, DeletionsForgottenBeforeTheyAreSentRaiseTheFloor) {
  const std::size_t count = 100'000;  // what tombstones hold
  const auto erase_many = [&](std::size_t number) {
    for (std::size_t i = 0; i < number; ++i) {
      led_.partition().stage(
          1, {.request = {.writes = {{.key = "/p/" + std::to_string(i), .deletes = true}}}}, now_);
    }
    led_.commit(now_);
  };
  erase_many(count);
  sessions_.open(1, ask(Revision()), led_.replica(), now_);
  const Revision cut = led_.revision();
  const auto first = next();
  EXPECT_EQ(first->chunk.floor, Revision());
  const Revision told_up_to = first->chunk.updates.back()->revision;
  erase_many(told_up_to.counter() + 5);
  const auto second = next();
  EXPECT_EQ(second->chunk.floor, Revision(3, told_up_to.counter() + 5));
  EXPECT_EQ(second->chunk.updates.front()->revision, second->chunk.floor.next());
  erase_many(count);
  const auto third = next();
  EXPECT_EQ(third->chunk.floor, cut);
  EXPECT_TRUE(third->chunk.last);
  EXPECT_TRUE(third->chunk.updates.empty());
}

TEST_F(SyncSessionsTest, WithoutRetentionASnapshotIsEmptyAndItsFloorTheCut) {
  Led passing({.subtree = "/p/", .retain = false}, 3, {}, {.updates = 1});
  for (int i = 0; i < 3; ++i) {
    passing.partition().stage(1, {.request = {.writes = {{.key = "/p/a", .deletes = true}}}}, now_);
    passing.commit(now_);
  }
  sessions_.open(1, ask(Revision()), passing.replica(), now_);
  const auto step =
      sessions_.next([&](const std::string&) { return &passing.replica(); }, has_room_, now_);
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->chunk.updates.empty());
  EXPECT_TRUE(step->chunk.last);
  EXPECT_EQ(step->chunk.revision, Revision(3, 3));
  EXPECT_EQ(step->chunk.floor, Revision(3, 3));
}

}  // namespace
}  // namespace canopy::shard
