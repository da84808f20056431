#include "core/keyspace/tombstones.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/unit/core/keyspace/make_update.h"

namespace canopy::keyspace {
namespace {

UpdatePtr deletion(std::uint64_t counter) {
  return make_update(
      {.key = "k" + std::to_string(counter), .revision = Revision(2, counter), .deleted = true});
}

std::vector<std::uint64_t> counters(const Tombstones& tombstones, Revision after) {
  std::vector<std::uint64_t> result;
  for (const UpdatePtr& each : tombstones.after(after)) result.push_back(each->revision.counter());
  return result;
}

using Counters = std::vector<std::uint64_t>;

TEST(Tombstones, TellsWhatWasDeletedSince) {
  Tombstones tombstones;
  tombstones.reset(Revision(2, 3));
  EXPECT_EQ(tombstones.floor(), Revision(2, 3));
  EXPECT_TRUE(tombstones.after(Revision(2, 3)).empty());
  for (const std::uint64_t counter : {5u, 6u, 9u}) tombstones.add(deletion(counter));
  EXPECT_EQ(counters(tombstones, Revision(2, 3)), (Counters{5, 6, 9}));
  EXPECT_EQ(counters(tombstones, Revision(2, 5)), (Counters{6, 9}));
  EXPECT_EQ(counters(tombstones, Revision(2, 7)), (Counters{9}));
  EXPECT_EQ(counters(tombstones, Revision(2, 9)), (Counters{}));
}

TEST(Tombstones, ForgettingTheOldestRaisesTheFloor) {
  Tombstones tombstones(3);
  tombstones.reset(Revision(2, 0));
  for (std::uint64_t i = 1; i <= 3; ++i) tombstones.add(deletion(2 * i));
  EXPECT_EQ(tombstones.floor(), Revision(2, 0));
  tombstones.add(deletion(8));
  EXPECT_EQ(tombstones.size(), 3u);
  EXPECT_EQ(tombstones.floor(), Revision(2, 2));
  EXPECT_EQ(counters(tombstones, Revision(2, 2)), (Counters{4, 6, 8}));
}

TEST(Tombstones, ResetForgets) {
  Tombstones tombstones;
  tombstones.reset(Revision(2, 0));
  tombstones.add(deletion(1));
  tombstones.reset(Revision(3, 0));
  EXPECT_EQ(tombstones.size(), 0u);
  EXPECT_EQ(tombstones.floor(), Revision(3, 0));
}

TEST(Tombstones, KnowsEveryDeletionAfterTheFloor) {
  std::mt19937 random(5);
  Tombstones tombstones(20);
  tombstones.reset(Revision(2, 0));
  Counters all;
  for (std::uint64_t counter = 1; counter < 500; ++counter) {
    if (random() % 3 == 0) {
      tombstones.add(deletion(counter));
      all.push_back(counter);
    }
    const std::uint64_t from =
        tombstones.floor().counter() + random() % (counter + 1 - tombstones.floor().counter());
    Counters expected;
    for (const std::uint64_t each : all) {
      if (each > from) expected.push_back(each);
    }
    ASSERT_EQ(counters(tombstones, Revision(2, from)), expected);
  }
  EXPECT_GT(tombstones.floor(), Revision(2, 300)) << "the bound was never met";
}

TEST(Tombstones, AWalkFindsWhatThereWasWhenItBegan) {
  constexpr std::uint64_t bound = 3000;
  auto tombstones = std::make_unique<Tombstones>(bound);
  tombstones->reset(Revision(2, 0));
  for (std::uint64_t i = 1; i <= bound; ++i) tombstones->add(deletion(i));
  auto walk = tombstones->after(Revision(2, 500));
  for (std::uint64_t i = bound + 1; i <= 3 * bound; ++i) tombstones->add(deletion(i));
  EXPECT_EQ(tombstones->floor(), Revision(2, 2 * bound));
  EXPECT_EQ(tombstones->size(), bound);
  const auto later = tombstones->after(tombstones->floor());
  tombstones.reset();
  for (std::uint64_t i = 501; i <= bound; ++i, walk.next()) {
    ASSERT_FALSE(walk.done());
    ASSERT_EQ((*walk)->revision, Revision(2, i));
  }
  EXPECT_TRUE(walk.done());
  EXPECT_EQ((*later)->revision, Revision(2, 2 * bound + 1));
}

}  // namespace
}  // namespace canopy::keyspace
