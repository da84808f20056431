#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

using namespace std::chrono_literals;

// A leader that writes, restarts and forgets, in an epoch that is higher, the same or lower; a link
// that drops, delays and loses answers, and still carries batches of the leader before: what is
// passed on rebuilds the leader's state, in order, the count of misses is exact, and whoever knows
// the state of a revision from the floor on, by whomever told, can be caught up.
class MirrorProperty : public testing::TestWithParam<unsigned> {};

TEST_P(MirrorProperty, EndsExactWhateverTheLinkLoses) {
  std::mt19937 random(GetParam());
  base::TimePoint now{1h};
  std::uint32_t epoch = 100;
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
  std::size_t new_histories = 0;
  std::deque<wire::Batch> late;  // of the leader before, still on the way

  const auto digest = [&] {
    if (!was_ready && mirror.ready()) {
      was_ready = true;
      follower = contents(mirror.tree());
    } else {
      for (const UpdatePtr& update : effects.applied) {
        if (update->deleted) {
          follower.erase(std::string(update->key));
        } else {
          follower[std::string(update->key)] = update->value;
        }
      }
    }
    counted_dropped += effects.missed;
    new_histories += effects.new_history;
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
    } else if (action < 62 && random() % 8 == 0) {
      late.clear();
      if (pending_dropped == 0 && mirror.lineage() == leader->lineage()) {
        for (int i = 0; i < 3; ++i) late.push_back(leader->write("/p/late", std::to_string(step)));
      }
      epoch += static_cast<std::uint32_t>(random() % 3) - 1;
      leader = std::make_unique<Leader>(epoch, 20, 30);
      history = {{leader->revision(), {}}};
      in_flight.clear();
      seen_in_epoch = false;
      pending_dropped = 0;
    } else if (action < 70) {
      deliver(leader->heartbeat());
    } else if (action < 73 && !late.empty()) {
      mirror.on_batch(late.front(), now, effects);
      late.pop_front();
    } else if (!in_flight.empty()) {
      mirror.on_chunk(in_flight.front(), now, effects);
      in_flight.erase(in_flight.begin());
    }
    mirror.tick(now, effects);
    digest();
    if (!was_ready) continue;
    ASSERT_EQ(follower, contents(mirror.tree()));
    if (mirror.lineage() != leader->lineage()) continue;
    const auto from = history.lower_bound(mirror.tombstones().floor());
    const auto to = history.find(mirror.revision());
    ASSERT_NE(to, history.end());
    auto since = from;
    std::advance(since, random() % (1 + static_cast<unsigned>(std::distance(from, to))));
    ASSERT_EQ(caught_up(since->second, since->first, mirror), to->second);
    caught_up_from_afar += std::distance(since, to) > 20;
  }
  deliver(leader->heartbeat());
  for (int i = 0; i < 2000 && (mirror.lineage() != leader->lineage() ||
                               mirror.revision() != leader->revision() || !mirror.ready());
       ++i) {
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
  EXPECT_GT(new_histories, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MirrorProperty, testing::Range(0u, 30u));

}  // namespace
}  // namespace canopy::cluster
