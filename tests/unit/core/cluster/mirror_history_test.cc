// A mirror whose partition gets a new leader, of any epoch.
#include <gtest/gtest.h>

#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

using namespace std::chrono_literals;

// Its epoch may have been used before, or be lower than that of its predecessor.
class MirrorOfANewHistory : public MirrorTest, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(MirrorOfANewHistory, TakesItWholeAndTellsTheDifference) {
  Leader former(5);
  for (const char* key : {"/p/kept", "/p/other", "/p/gone"}) former.write(key, "1");
  former.write("/p/same", "");
  join(former);
  Leader leader(GetParam());
  for (const char* key : {"/p/kept", "/p/other"}) leader.write(key, "1");
  leader.write("/p/other", "2");
  leader.write("/p/same", "new");
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(mirror_.revision(), leader.revision());
  EXPECT_EQ(mirror_.lineage(), leader.lineage());
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
  Map applied;
  for (const UpdatePtr& update : effects_.applied)
    applied[std::string(update->key)] = update->value;
  EXPECT_EQ(applied["/p/other"], "2");
  EXPECT_EQ(applied["/p/same"], "new");
  EXPECT_TRUE(applied.contains("/p/gone"));
  EXPECT_EQ(effects_.missed, 0u);
  EXPECT_EQ(effects_.new_history, GetParam() <= 5);
  EXPECT_EQ(mirror_.epoch_reused(), GetParam() <= 5);
  effects_ = {};
  mirror_.on_batch(leader.write("/p/kept", "3"), now_, effects_);
  EXPECT_EQ(effects_.applied.size(), 1u);
  EXPECT_TRUE(effects_.requests.empty());
}

// As after a restored backup: its epoch is the highest, and its entries have old revisions.
TEST_F(MirrorTest, AHistoryThatGoesBackIsANewOne) {
  for (const char* after : {"/p/kept", "/p/deleted"}) {
    Leader former(5);
    former.write("/p/kept", "1");
    former.write("/p/deleted", "1");
    Leader restored = former;
    former.write(after, after == std::string("/p/kept") ? "2" : "");
    join(former);
    EXPECT_FALSE(mirror_.epoch_reused());
    restored.lead(6);
    mirror_.on_batch(restored.heartbeat(), now_, effects_);
    feed(restored.answer(last_sync(effects_)));
    EXPECT_EQ(contents(mirror_.tree()), contents(restored.tree()));
    EXPECT_TRUE(effects_.new_history) << after;
    EXPECT_TRUE(mirror_.epoch_reused()) << after;
    mirror_ = Mirror("/p/");
    effects_ = {};
  }
}

// A leader that lacks nothing does not make a new history.
TEST_F(MirrorTest, ASnapshotThatGoesOnIsNoNewHistory) {
  Leader former(5, 1);
  for (const char* key : {"/p/a", "/p/b"}) former.write(key, "1");
  join(former);
  for (const char* key : {"/p/b", "/p/c", "/p/d"}) former.write(key, "2");
  former.write("/p/a", "");
  former.lead(6);
  mirror_.on_batch(former.heartbeat(), now_, effects_);
  feed(former.answer(last_sync(effects_)));
  EXPECT_EQ(contents(mirror_.tree()), contents(former.tree()));
  EXPECT_EQ(effects_.snapshots, 1u) << "too much for a replay";
  EXPECT_FALSE(effects_.new_history);
}

TEST_P(MirrorOfANewHistory, IsNotLedBackByLateBatchesOfTheFormerLeader) {
  Leader former(5);
  former.write("/p/a", "1");
  join(former);
  Leader leader(GetParam());
  leader.write("/p/b", "1");
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  feed(leader.answer(last_sync(effects_)));
  effects_ = {};
  for (int i = 0; i < 100; ++i) {
    now_ += 100ms;
    mirror_.on_batch(former.write("/p/a", "late"), now_, effects_);
    if (!effects_.requests.empty()) feed(leader.answer(last_sync(effects_)));
    mirror_.on_batch(leader.write("/p/b", std::to_string(i)), now_, effects_);
    ASSERT_EQ(contents(mirror_.tree()), contents(leader.tree()));
    ASSERT_EQ(mirror_.state(), Mirror::State::live);
  }
  EXPECT_EQ(effects_.applied.size(), 100u) << "of the leader alone";
  EXPECT_LE(effects_.requests.size(), 10u) << "one question a second";
}

// The former leader's complete reply arrives after a batch of its successor.
TEST_P(MirrorOfANewHistory, IsFoundBehindTheLastAnswerOfTheFormerLeader) {
  Leader former(5);
  former.write("/p/a", "1");
  mirror_.start(now_, effects_);
  const auto chunks = former.answer(last_sync(effects_));
  Leader leader(GetParam());
  mirror_.on_batch(leader.write("/p/b", "1"), now_, effects_);
  feed(chunks);
  EXPECT_EQ(mirror_.lineage(), former.lineage());
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
}

INSTANTIATE_TEST_SUITE_P(Epochs, MirrorOfANewHistory, testing::Values(3u, 5u, 6u));

}  // namespace
}  // namespace canopy::cluster
