#include "core/cluster/mirror.h"

#include <gtest/gtest.h>

#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

using namespace std::chrono_literals;

TEST_F(MirrorTest, FirstSnapshotIsNotPassedOn) {
  Leader leader(1);
  for (int i = 0; i < 5; ++i) leader.write("/p/" + std::to_string(i), "v");
  mirror_.start(now_, effects_);
  EXPECT_EQ(last_sync(effects_).since, Revision());
  EXPECT_FALSE(mirror_.ready());
  feed(leader.answer(last_sync(effects_)));
  EXPECT_TRUE(mirror_.ready());
  EXPECT_TRUE(effects_.applied.empty());
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
  EXPECT_EQ(effects_.snapshots, 1u);
}

TEST_F(MirrorTest, BatchesThatArriveDuringTheSnapshotAreApplied) {
  Leader leader(1);
  leader.write("/p/a", "1");
  mirror_.start(now_, effects_);
  const auto chunks = leader.answer(last_sync(effects_));
  const auto later = leader.write("/p/b", "2");
  mirror_.on_batch(later, now_, effects_);
  feed(chunks);
  ASSERT_EQ(effects_.applied.size(), 1u);
  EXPECT_EQ(effects_.applied[0]->key, "/p/b");
  EXPECT_EQ(mirror_.revision(), leader.revision());
  EXPECT_EQ(effects_.missed, 0u);
}

TEST_F(MirrorTest, AHoleIsCountedExactlyAndReplayedBeforeWhatFollows) {
  Leader leader(1);
  leader.write("/p/a", "1");
  join(leader);
  mirror_.on_batch(leader.write("/p/a", "2"), now_, effects_);
  for (int i = 0; i < 7; ++i) leader.write("/p/lost", std::to_string(i));
  mirror_.on_batch(leader.write("/p/a", "3"), now_, effects_);
  EXPECT_EQ(effects_.missed, 7u);
  EXPECT_EQ(effects_.applied.size(), 1u);
  feed(leader.answer(last_sync(effects_)));
  ASSERT_EQ(effects_.applied.size(), 9u);
  for (std::size_t i = 1; i < effects_.applied.size(); ++i) {
    EXPECT_EQ(effects_.applied[i]->revision, effects_.applied[i - 1]->revision.next());
  }
  EXPECT_EQ(effects_.missed, 7u);
  EXPECT_EQ(effects_.replays, 1u);
}

TEST_F(MirrorTest, TheLossOfTheLastBatchShowsInTheHeartbeat) {
  Leader leader(1);
  join(leader);
  mirror_.on_batch(leader.write("/p/a", "1"), now_, effects_);
  leader.write("/p/a", "2");
  leader.write("/p/a", "3");
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  EXPECT_EQ(effects_.missed, 2u);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(mirror_.tree().find("/p/a")->value, "3");
}

TEST_F(MirrorTest, DropsThatARepairOvertakesAreStillCounted) {
  Leader leader(1);
  join(leader);
  mirror_.on_batch(leader.write("/p/a", "0"), now_, effects_);
  leader.write("/p/a", "1");  // lost
  mirror_.on_batch(leader.write("/p/a", "2"), now_, effects_);
  leader.write("/p/a", "3");  // lost, and in the replay already
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(effects_.missed, 1u);
  mirror_.on_batch(leader.write("/p/a", "4"), now_, effects_);
  EXPECT_EQ(effects_.missed, 2u);
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(mirror_.revision(), leader.revision());
}

TEST_F(MirrorTest, ANewEpochBringsASnapshotOfWhichTheDifferenceIsPassedOn) {
  Leader old_leader(1);
  old_leader.write("/p/kept", "1");
  old_leader.write("/p/gone", "1");
  join(old_leader);
  Leader new_leader(2);
  new_leader.write("/p/kept", "2");
  mirror_.on_batch(new_leader.heartbeat(), now_, effects_);
  EXPECT_EQ(effects_.missed, 0u);
  mirror_.on_batch(old_leader.write("/p/stale", "x"), now_, effects_);
  feed(new_leader.answer(last_sync(effects_)));
  EXPECT_EQ(contents(mirror_.tree()), (Map{{"/p/kept", "2"}}));
  EXPECT_EQ(effects_.applied.size(), 2u);
  EXPECT_EQ(mirror_.revision(), new_leader.revision());
}

TEST_F(MirrorTest, TakesNoAnswerToAnEarlierMirrorOfItsLink) {
  Leader leader(1);
  for (int i = 0; i < 6; ++i) (void)leader.write("/p/" + std::to_string(i), "v");
  const auto first_sync = [&](Mirror& mirror) {
    Mirror::Effects out;
    mirror.start(base::TimePoint(1s), out);
    return std::get<wire::Sync>(*wire::decode_to_shard(out.requests.at(0)));
  };
  Mirror earlier("/p/");
  const auto late = leader.answer(first_sync(earlier));
  Mirror mirror("/p/", {.first_request = std::uint64_t{1} << 32});
  const auto own = leader.answer(first_sync(mirror));
  Mirror::Effects out;
  mirror.on_chunk(late.back(), base::TimePoint(1s), out);  // its first chunks are lost
  EXPECT_FALSE(mirror.ready());
  for (const wire::Chunk& chunk : own) mirror.on_chunk(chunk, base::TimePoint(1s), out);
  EXPECT_EQ(contents(mirror.tree()), contents(leader.tree()));
}

TEST_F(MirrorTest, AsksAgainAtGrowingIntervalsWithoutAnAnswer) {
  mirror_.start(now_, effects_);
  const auto first = last_sync(effects_);
  std::vector<base::Duration> asked;
  for (base::Duration passed{}; passed < 40s; passed += 100ms) {
    const std::size_t before = effects_.requests.size();
    mirror_.tick(now_ + passed, effects_);
    if (effects_.requests.size() > before) asked.push_back(passed);
  }
  EXPECT_EQ(asked, (std::vector<base::Duration>{1s, 3s, 7s, 15s, 23s, 31s, 39s}));
  EXPECT_EQ(last_sync(effects_).request, first.request) << "a leader that is at it may go on";
}

TEST_F(MirrorTest, WhatArrivedOfASnapshotIsKeptWhileItsLeaderIsSlow) {
  Leader leader(1);
  for (int i = 0; i < 9; ++i) leader.write("/p/" + std::to_string(i), "v");
  mirror_.start(now_, effects_);
  const auto chunks = leader.answer(last_sync(effects_));
  ASSERT_GT(chunks.size(), 3u);
  for (const auto& chunk : chunks) {
    now_ += 5s;
    mirror_.tick(now_, effects_);
    mirror_.on_chunk(chunk, now_, effects_);
  }
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
}

TEST_F(MirrorTest, AnAnswerThatBeginsAnewReplacesWhatArrived) {
  Leader leader(1);
  for (int i = 0; i < 9; ++i) leader.write("/p/" + std::to_string(i), "v");
  mirror_.start(now_, effects_);
  auto chunks = leader.answer(last_sync(effects_));
  chunks.resize(2);
  feed(chunks);
  leader.write("/p/0", "");
  mirror_.tick(now_ + 1s, effects_);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
}

TEST_F(MirrorTest, AChunkThatIsMissingIsNoticed) {
  Leader leader(1);
  for (int i = 0; i < 9; ++i) leader.write("/p/" + std::to_string(i), "v");
  mirror_.start(now_, effects_);
  const auto first = last_sync(effects_);
  auto chunks = leader.answer(first);
  chunks.erase(chunks.begin() + 1);
  feed(chunks);
  EXPECT_EQ(mirror_.state(), Mirror::State::syncing);
  EXPECT_GT(last_sync(effects_).request, first.request);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(contents(mirror_.tree()), contents(leader.tree()));
}

TEST_F(MirrorTest, ALeaderThatHasRefusedIsAskedSoonAfterItIsHeard) {
  Leader leader(1);
  mirror_.start(now_, effects_);
  for (int i = 0; i < 300; ++i) mirror_.tick(now_ += 100ms, effects_);
  mirror_.on_refused(
      {.request = last_sync(effects_).request, .partition = "/p/", .why = "loading"});
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  effects_ = {};
  for (int i = 0; i < 10; ++i) mirror_.tick(now_ += 100ms, effects_);
  EXPECT_EQ(effects_.requests.size(), 1u);
}

TEST_F(MirrorTest, SaysWhyItsLeaderRefuses) {
  mirror_.start(now_, effects_);
  mirror_.on_refused({.request = last_sync(effects_).request, .partition = "/p/", .why = "disk"});
  EXPECT_EQ(mirror_.refusal(), "disk");
  feed(Leader(1).answer(last_sync(effects_)));
  EXPECT_EQ(mirror_.refusal(), "");
}

TEST_F(MirrorTest, HoldsWithinBounds) {
  Mirror small("/p/", {.held_updates = 3, .held_bytes = 1000});
  Leader leader(1);
  small.start(now_, effects_);
  const auto request = last_sync(effects_);
  const auto chunks = leader.answer(request);
  for (int i = 0; i < 10; ++i) {
    small.on_batch(leader.write("/p/a", std::to_string(i)), now_, effects_);
  }
  EXPECT_EQ(small.held_updates(), 3u);
  for (const auto& chunk : chunks) small.on_chunk(chunk, now_, effects_);
  EXPECT_EQ(small.revision(), Revision(1, 3));
  small.on_batch(leader.heartbeat(), now_, effects_);
  for (const auto& chunk : leader.answer(last_sync(effects_))) {
    small.on_chunk(chunk, now_, effects_);
  }
  EXPECT_EQ(small.revision(), leader.revision());
  EXPECT_EQ(effects_.missed, 0u);
}

// Empty batches count against the bytes held.
TEST_F(MirrorTest, HoldsFewEmptyBatches) {
  Mirror small("/p/", {.held_bytes = 10'000});
  Leader leader(1);
  leader.write("/p/a", "1");
  small.start(now_, effects_);
  for (int i = 0; i < 10'000; ++i) {
    small.on_batch(leader.heartbeat(), now_, effects_);
    ASSERT_LE(small.held_bytes(), 10'000u);
  }
  EXPECT_GT(small.held_bytes(), 0u);
}

TEST_F(MirrorTest, TheFirstSnapshotBringsTheDeletionsThatTheLeaderKnows) {
  Leader leader(1, 1000, 2);
  for (const char* key : {"/p/a", "/p/b", "/p/c", "/p/d"}) leader.write(key, "1");
  for (const char* key : {"/p/a", "/p/b", "/p/c"}) leader.write(key, "");
  leader.write("/p/c", "2");
  join(leader);
  EXPECT_EQ(contents(mirror_.tree()), (Map{{"/p/c", "2"}, {"/p/d", "1"}}));
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/b"}));
  EXPECT_EQ(mirror_.tombstones().floor(), Revision(1, 5));
}

TEST_F(MirrorTest, DeletionsAreRememberedAsTheyAreApplied) {
  Leader leader(1);
  leader.write("/p/a", "1");
  join(leader);
  mirror_.on_batch(leader.write("/p/a", ""), now_, effects_);
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/a"}));
  leader.write("/p/b", "1");
  leader.write("/p/b", "");
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(effects_.replays, 1u);
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/a", "/p/b"}));
}

// Another proxy may have sent a client a key that was created and deleted during this proxy's hole.
TEST_F(MirrorTest, ARepairBySnapshotKnowsTheDeletionsOfWhatWasNeverHere) {
  Leader leader(1, 3);
  leader.write("/p/a", "1");
  join(leader);
  mirror_.on_batch(leader.write("/p/a", ""), now_, effects_);
  leader.write("/p/b", "1");
  const Revision since = leader.revision();
  const Map known = contents(leader.tree());
  leader.write("/p/b", "");
  for (int i = 0; i < 5; ++i) leader.write("/p/c", std::to_string(i));
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(effects_.snapshots, 1u);
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/a", "/p/b"}));
  EXPECT_EQ(mirror_.tombstones().floor(), Revision(1, 0)) << "what was known stays known";
  EXPECT_EQ(caught_up(known, since, mirror_), contents(leader.tree()));
}

TEST_F(MirrorTest, ARepairThatTheLeaderCannotTellInFullRaisesTheFloor) {
  Leader leader(1, 3, 2);
  join(leader);
  mirror_.on_batch(leader.write("/p/a", ""), now_, effects_);
  for (const char* key : {"/p/b", "/p/c", "/p/d", "/p/e"}) leader.write(key, "");
  mirror_.on_batch(leader.heartbeat(), now_, effects_);
  feed(leader.answer(last_sync(effects_)));
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/d", "/p/e"}));
  EXPECT_EQ(mirror_.tombstones().floor(), Revision(1, 3));
}

TEST_F(MirrorTest, ANewEpochForgetsTheDeletionsOfTheLast) {
  Leader old_leader(1);
  join(old_leader);
  mirror_.on_batch(old_leader.write("/p/a", ""), now_, effects_);
  Leader new_leader(2);
  new_leader.write("/p/b", "");
  mirror_.on_batch(new_leader.heartbeat(), now_, effects_);
  feed(new_leader.answer(last_sync(effects_)));
  EXPECT_EQ(deleted(mirror_), (Keys{"/p/b"}));
  EXPECT_EQ(mirror_.tombstones().floor(), Revision(2, 0));
}

TEST_F(MirrorTest, RefusesASnapshotThatContradictsItself) {
  const auto deletion = [](std::uint64_t counter) {
    return wire::make_update({.key = "/p/a", .revision = Revision(1, counter), .deleted = true});
  };
  const wire::Chunk good{.partition = "/p/",
                         .kind = wire::Chunk::Kind::snapshot,
                         .revision = Revision(1, 5),
                         .floor = Revision(1, 1),
                         .last = true,
                         .updates = {deletion(2), deletion(4)}};
  mirror_.start(now_, effects_);
  const auto refused = [&](std::vector<wire::Chunk> chunks) {
    const auto request = last_sync(effects_).request;
    for (std::uint32_t number = 0; wire::Chunk & chunk : chunks) {
      chunk.request = request;
      chunk.number = number++;
      chunk.lineage = 9;
      mirror_.on_chunk(chunk, now_, effects_);
    }
    return !mirror_.ready() && last_sync(effects_).request > request;
  };
  wire::Chunk out_of_order = good;
  std::swap(out_of_order.updates[0], out_of_order.updates[1]);
  EXPECT_TRUE(refused({out_of_order}));
  wire::Chunk beyond = good;
  beyond.updates.push_back(deletion(6));
  EXPECT_TRUE(refused({beyond}));
  wire::Chunk floor = good;
  floor.floor = Revision(1, 6);
  EXPECT_TRUE(refused({floor}));
  wire::Chunk first = good;
  first.last = false;
  first.revision = Revision(1, 9);
  EXPECT_TRUE(refused({first, good}));
  EXPECT_FALSE(refused({good}));
}

TEST(MirrorWithoutRetention, PassesUpdatesOnAndKeepsNothing) {
  Leader leader(1, 2);
  base::TimePoint now{1h};
  Mirror mirror("/p/", {.retain = false});
  Mirror::Effects effects;
  const auto answer = [&] {
    // Like a leader without state, whose snapshot is empty.
    for (wire::Chunk chunk : leader.answer(last_sync(effects))) {
      if (chunk.kind == wire::Chunk::Kind::snapshot) {
        chunk.updates.clear();
        chunk.floor = chunk.revision;
      }
      mirror.on_chunk(chunk, now, effects);
    }
    ASSERT_TRUE(mirror.ready());
  };
  const auto expect_nothing_kept = [&] {
    EXPECT_EQ(mirror.revision(), leader.revision());
    EXPECT_EQ(mirror.tree().size(), 0u);
    EXPECT_EQ(mirror.tombstones().size(), 0u);
    EXPECT_EQ(mirror.tombstones().floor(), leader.revision());
  };
  leader.write("/p/a", "1");
  mirror.start(now, effects);
  answer();
  expect_nothing_kept();
  mirror.on_batch(leader.write("/p/a", "2"), now, effects);
  mirror.on_batch(leader.write("/p/b", ""), now, effects);
  EXPECT_EQ(effects.applied.size(), 2u);
  expect_nothing_kept();
  leader.write("/p/c", "1");
  mirror.on_batch(leader.heartbeat(), now, effects);
  answer();
  EXPECT_EQ(effects.applied.size(), 3u) << "a hole within the log is replayed";
  expect_nothing_kept();
  for (int i = 0; i < 5; ++i) leader.write("/p/a", "3");
  mirror.on_batch(leader.heartbeat(), now, effects);
  answer();
  EXPECT_EQ(effects.missed, 6u);
  EXPECT_EQ(effects.snapshots, 2u);
  EXPECT_EQ(effects.applied.size(), 3u) << "what the log lacks is lost; nothing is said deleted";
  expect_nothing_kept();
}

}  // namespace
}  // namespace canopy::cluster
