#include "core/cluster/mirror.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/keyspace/update_log.h"

namespace canopy::cluster {
namespace {

using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;
using namespace std::chrono_literals;

// A leader in a few lines: what the mirror must agree with.
class Leader {
 public:
  explicit Leader(std::uint32_t epoch, std::size_t log_updates = 1000)
      : log_(Revision(epoch, 0), log_updates, 1 << 20) {}

  wire::Batch write(const std::string& key, const std::string& value) {
    wire::Batch batch{.partition = "/p/", .after = log_.last(), .committed = {}, .updates = {}};
    auto update = std::make_shared<Update>(Update{
        .key = key, .value = value, .revision = log_.last().next(), .deleted = value.empty()});
    log_.append(update);
    tree_.apply(update);
    batch.updates.push_back(update);
    return batch;
  }
  wire::Batch heartbeat() const {
    return {.partition = "/p/", .after = log_.last(), .committed = {}, .updates = {}};
  }
  // Answers a sync at once, in chunks of at most two updates.
  std::vector<wire::Chunk> answer(const wire::Sync& sync) const {
    std::vector<wire::Chunk> chunks;
    wire::Chunk chunk{.request = sync.request, .partition = "/p/"};
    const auto cut_chunk = [&](Revision revision) {
      chunk.revision = revision;
      chunks.push_back(chunk);
      chunk.updates.clear();
    };
    if (log_.covers(sync.since)) {
      Revision at = sync.since;
      while (at < log_.last()) {
        chunk.updates.push_back(log_.after(at));
        at = at.next();
        if (chunk.updates.size() == 2) cut_chunk(at);
      }
    } else {
      chunk.kind = wire::Chunk::Kind::snapshot;
      for (auto entry = tree_.view().seek(""); !entry.done(); entry.next()) {
        chunk.updates.push_back(*entry);
        if (chunk.updates.size() == 2) cut_chunk(log_.last());
      }
    }
    cut_chunk(log_.last());
    chunks.back().last = true;
    return chunks;
  }
  const keyspace::Tree& tree() const { return tree_; }
  Revision revision() const { return log_.last(); }

 private:
  keyspace::Tree tree_;
  keyspace::UpdateLog log_;
};

using Map = std::map<std::string, std::string>;

Map contents(const keyspace::Tree& tree) {
  Map map;
  for (auto entry = tree.view().seek(""); !entry.done(); entry.next()) {
    map[(*entry)->key] = (*entry)->value;
  }
  return map;
}

wire::Sync last_sync(const Mirror::Effects& effects) {
  EXPECT_FALSE(effects.requests.empty());
  auto decoded = wire::decode_to_shard(effects.requests.back());
  EXPECT_TRUE(decoded);
  return std::get<wire::Sync>(*decoded);
}

class MirrorTest : public testing::Test {
 protected:
  void feed(const std::vector<wire::Chunk>& chunks) {
    for (const auto& chunk : chunks) mirror_.on_chunk(chunk, now_, effects_);
  }
  void join(const Leader& leader) {
    mirror_.start(now_, effects_);
    feed(leader.answer(last_sync(effects_)));
    ASSERT_EQ(mirror_.state(), Mirror::State::live);
    effects_ = {};
  }

  base::TimePoint now_{1h};
  Mirror mirror_{"/p/"};
  Mirror::Effects effects_;
};

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

TEST_F(MirrorTest, AsksAgainWithoutAnAnswer) {
  mirror_.start(now_, effects_);
  const auto first = last_sync(effects_);
  mirror_.tick(now_ + 500ms, effects_);
  EXPECT_EQ(effects_.requests.size(), 1u);
  mirror_.tick(now_ + 1s, effects_);
  EXPECT_GT(last_sync(effects_).request, first.request);
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

// A leader that writes, restarts and forgets; a link that drops, delays and loses answers: what is
// passed on rebuilds the leader's state, in order, and the count of misses is exact.
class MirrorProperty : public testing::TestWithParam<unsigned> {};

TEST_P(MirrorProperty, EndsExactWhateverTheLinkLoses) {
  std::mt19937 random(GetParam());
  base::TimePoint now{1h};
  std::uint32_t epoch = 1;
  auto leader = std::make_unique<Leader>(epoch, 20);
  Mirror mirror("/p/", {.held_updates = 30, .held_bytes = 1 << 20});
  Mirror::Effects effects;
  mirror.start(now, effects);
  Map follower;  // what a client that applies what is passed on holds
  bool was_ready = false;
  std::uint64_t dropped = 0;
  std::uint64_t counted_dropped = 0;
  std::vector<wire::Chunk> in_flight;

  const auto digest = [&] {
    if (!was_ready && mirror.ready()) {
      was_ready = true;
      follower = contents(mirror.tree());
    } else {
      for (const UpdatePtr& update : effects.applied) {
        if (update->deleted) {
          follower.erase(update->key);
        } else {
          follower[update->key] = update->value;
        }
      }
    }
    counted_dropped += effects.missed;
    for (const auto& request : effects.requests) {
      auto decoded = wire::decode_to_shard(request);
      ASSERT_TRUE(decoded);
      if (const auto* sync = std::get_if<wire::Sync>(&*decoded); sync != nullptr && random() % 8) {
        in_flight = leader->answer(*sync);
      }
    }
    effects = {};
  };
  bool seen_in_epoch = false;  // drops count only between two batches of one epoch
  std::uint64_t pending_dropped = 0;
  const auto deliver = [&](const wire::Batch& batch) {
    mirror.on_batch(batch, now, effects);
    if (seen_in_epoch) dropped += pending_dropped;
    pending_dropped = 0;
    seen_in_epoch = true;
  };
  for (int step = 0; step < 3000; ++step) {
    now += 10ms;
    const unsigned action = static_cast<unsigned>(random() % 100);
    if (action < 60) {
      const auto batch = leader->write("/p/" + std::to_string(random() % 20),
                                       random() % 5 ? std::to_string(step) : "");
      if (random() % 10) {
        deliver(batch);
      } else {
        ++pending_dropped;
      }
    } else if (action < 62 && step % 50 == 0) {
      leader = std::make_unique<Leader>(++epoch, 20);
      in_flight.clear();
      seen_in_epoch = false;
      pending_dropped = 0;
    } else if (action < 70) {
      deliver(leader->heartbeat());
    } else if (!in_flight.empty()) {
      mirror.on_chunk(in_flight.front(), now, effects);
      in_flight.erase(in_flight.begin());
    }
    mirror.tick(now, effects);
    digest();
    if (was_ready) {
      ASSERT_EQ(follower, contents(mirror.tree()));
    }
  }
  deliver(leader->heartbeat());
  for (int i = 0; i < 2000 && (mirror.revision() != leader->revision() || !mirror.ready()); ++i) {
    now += 100ms;
    digest();
    if (!in_flight.empty()) {
      mirror.on_chunk(in_flight.front(), now, effects);
      in_flight.erase(in_flight.begin());
    }
    if (i % 10 == 0) deliver(leader->heartbeat());
    mirror.tick(now, effects);
  }
  digest();
  EXPECT_EQ(contents(mirror.tree()), contents(leader->tree()));
  EXPECT_EQ(follower, contents(leader->tree()));
  EXPECT_EQ(counted_dropped, dropped);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MirrorProperty, testing::Range(0u, 30u));

}  // namespace
}  // namespace canopy::cluster
