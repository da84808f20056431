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
  explicit Leader(std::uint32_t epoch, std::size_t log_updates = 1000, std::size_t deletions = 1000)
      : log_(Revision(epoch, 0), log_updates, 1 << 20), tombstones_(deletions) {
    tombstones_.reset(log_.last());
  }

  wire::Batch write(const std::string& key, const std::string& value) {
    wire::Batch batch{.partition = "/p/", .after = log_.last(), .committed = {}, .updates = {}};
    auto update = std::make_shared<Update>(Update{
        .key = key, .value = value, .revision = log_.last().next(), .deleted = value.empty()});
    log_.append(update);
    tree_.apply(update);
    if (update->deleted) tombstones_.add(update);
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
      chunk.floor = tombstones_.floor();
      for (const UpdatePtr& deletion : tombstones_.after(chunk.floor)) {
        if (tree_.find(deletion->key) != nullptr) continue;
        chunk.updates.push_back(deletion);
        if (chunk.updates.size() == 2) cut_chunk(log_.last());
      }
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
  keyspace::Tombstones tombstones_;
};

using Map = std::map<std::string, std::string>;

Map contents(const keyspace::Tree& tree) {
  Map map;
  for (auto entry = tree.view().seek(""); !entry.done(); entry.next()) {
    map[(*entry)->key] = (*entry)->value;
  }
  return map;
}

// What `known`, the state as of a revision, becomes by what the mirror can tell to have changed
// since.
Map caught_up(Map known, Revision since, const Mirror& mirror) {
  for (const UpdatePtr& deletion : mirror.tombstones().after(since)) known.erase(deletion->key);
  for (auto entry = mirror.tree().view().seek(""); !entry.done(); entry.next()) {
    if ((*entry)->revision > since) known[(*entry)->key] = (*entry)->value;
  }
  return known;
}

std::vector<std::string> deleted(const Mirror& mirror) {
  std::vector<std::string> keys;
  for (const UpdatePtr& deletion : mirror.tombstones().after(Revision())) {
    keys.push_back(deletion->key);
  }
  return keys;
}

using Keys = std::vector<std::string>;

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

// Another proxy may have told a client of a key that came and went while this one heard nothing.
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
    return std::make_shared<Update>(
        Update{.key = "/p/a", .revision = Revision(1, counter), .deleted = true});
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
    for (wire::Chunk& chunk : chunks) {
      chunk.request = request;
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
    // As such a leader: a snapshot of it is empty.
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

// A leader that writes, restarts and forgets; a link that drops, delays and loses answers: what is
// passed on rebuilds the leader's state, in order, the count of misses is exact, and whoever knows
// the state of a revision from the floor on, by whomever told, can be caught up.
class MirrorProperty : public testing::TestWithParam<unsigned> {};

TEST_P(MirrorProperty, EndsExactWhateverTheLinkLoses) {
  std::mt19937 random(GetParam());
  base::TimePoint now{1h};
  std::uint32_t epoch = 1;
  auto leader = std::make_unique<Leader>(epoch, 20, 30);
  Mirror mirror("/p/", {.held_updates = 30, .held_bytes = 1 << 20});
  Mirror::Effects effects;
  mirror.start(now, effects);
  Map follower;  // what a client that applies what is passed on holds
  bool was_ready = false;
  std::uint64_t dropped = 0;
  std::uint64_t counted_dropped = 0;
  std::vector<wire::Chunk> in_flight;
  std::map<Revision, Map> history{{leader->revision(), {}}};  // the states of this epoch
  std::size_t caught_up_from_afar = 0;

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
      history[leader->revision()] = contents(leader->tree());
      if (random() % 10) {
        deliver(batch);
      } else {
        ++pending_dropped;
      }
    } else if (action < 62 && step % 50 == 0) {
      leader = std::make_unique<Leader>(++epoch, 20, 30);
      history = {{leader->revision(), {}}};
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
    if (!was_ready) continue;
    ASSERT_EQ(follower, contents(mirror.tree()));
    if (mirror.revision().epoch() != epoch) continue;
    const auto from = history.lower_bound(mirror.tombstones().floor());
    const auto to = history.find(mirror.revision());
    ASSERT_NE(to, history.end());
    auto since = from;
    std::advance(since, random() % (1 + static_cast<unsigned>(std::distance(from, to))));
    ASSERT_EQ(caught_up(since->second, since->first, mirror), to->second);
    caught_up_from_afar += std::distance(since, to) > 20;
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
  EXPECT_GT(caught_up_from_afar, 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MirrorProperty, testing::Range(0u, 30u));

}  // namespace
}  // namespace canopy::cluster
