// A mirror whose partition gets another leader.
#include <gtest/gtest.h>

#include "core/cluster/mirror.h"
#include "core/wire/entry.h"
#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

constexpr std::uint64_t new_lineage = 77;

keyspace::UpdatePtr put(Revision revision, const std::string& value) {
  return wire::make_update({.key = "/p/a", .value = value, .revision = revision});
}

class MirrorEpochs : public MirrorTest {
 protected:
  // A mirror of epoch 1, up to its second update; then a batch of a leader of epoch 3 arrives.
  MirrorEpochs() {
    join(leader_);
    mirror_.on_batch(leader_.write("/p/a", "1"), now_, effects_);
    mirror_.on_batch(leader_.write("/p/a", "2"), now_, effects_);
    mirror_.on_batch(
        {.partition = "/p/", .lineage = new_lineage, .after = Revision(3, 0), .committed = now_},
        now_, effects_);
    effects_.applied.clear();
    request_ = last_sync(effects_).request;
  }
  wire::Chunk replay(std::uint32_t number, Revision revision, bool last,
                     std::vector<keyspace::UpdatePtr> updates) {
    return {.request = request_,
            .number = number,
            .partition = "/p/",
            .lineage = new_lineage,
            .kind = wire::Chunk::Kind::replay,
            .revision = revision,
            .last = last,
            .updates = std::move(updates)};
  }

  Leader leader_{1};
  std::uint64_t request_ = 0;
};

TEST_F(MirrorEpochs, GoesOnFromWhatTheNewLeaderHasInItsHistory) {
  EXPECT_EQ(last_sync(effects_).since, Revision(1, 2));
  mirror_.on_chunk(replay(0, Revision(1, 3), false, {put(Revision(1, 3), "3")}), now_, effects_);
  mirror_.on_chunk(replay(1, Revision(3, 1), true, {put(Revision(3, 1), "4")}), now_, effects_);
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(mirror_.lineage(), new_lineage);
  EXPECT_EQ(mirror_.revision(), Revision(3, 1));
  ASSERT_EQ(effects_.applied.size(), 2u);
  EXPECT_EQ(effects_.missed, 0u);
  EXPECT_FALSE(effects_.new_history);
  EXPECT_EQ(mirror_.tombstones().floor(), Revision(1, 0));  // nothing is forgotten
}

TEST_F(MirrorEpochs, AnEpochWithoutUpdatesIsReachedByAnEmptyReplay) {
  mirror_.on_chunk(replay(0, Revision(3, 0), true, {}), now_, effects_);
  EXPECT_EQ(mirror_.state(), Mirror::State::live);
  EXPECT_EQ(mirror_.revision(), Revision(3, 0));
  mirror_.on_batch({.partition = "/p/",
                    .lineage = new_lineage,
                    .after = Revision(3, 0),
                    .committed = now_,
                    .updates = {put(Revision(3, 1), "3")}},
                   now_, effects_);
  EXPECT_EQ(mirror_.revision(), Revision(3, 1));
}

TEST_F(MirrorEpochs, AReplayMustBeginWhereTheCopyEnds) {
  mirror_.on_chunk(replay(0, Revision(3, 2), true, {put(Revision(3, 2), "3")}), now_, effects_);
  EXPECT_EQ(mirror_.state(), Mirror::State::syncing);
  EXPECT_GT(last_sync(effects_).request, request_);
}

TEST_F(MirrorEpochs, OnlyTheBeginningOfAnAnswerChangesTheLineage) {
  mirror_.on_chunk(replay(1, Revision(1, 3), true, {put(Revision(1, 3), "3")}), now_, effects_);
  EXPECT_EQ(mirror_.state(), Mirror::State::syncing);
  EXPECT_TRUE(effects_.applied.empty());
}

}  // namespace
}  // namespace canopy::cluster
