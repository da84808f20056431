#include "loadtest/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Layout, OneSubtreeSeenByAll) {
  const auto layout = Layout::make(Options{}, 3);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_EQ(layout->key(2), "/results/2");
  EXPECT_EQ(layout->watched_by(2), "/results/");
  EXPECT_THAT(layout->visible_to(1), ElementsAre(true, true, true));
  EXPECT_EQ(layout->owner("/results/1"), 1u);
  EXPECT_FALSE(layout->owner("/results/3"));
}

TEST(Layout, PartsSeeTheirOwn) {
  const auto layout = Layout::make(Options{.subtrees = 2}, 5);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_EQ(layout->key(3), "/results/g1/3");
  EXPECT_EQ(layout->watched_by(3), "/results/g1/");
  EXPECT_THAT(layout->visible_to(3), ElementsAre(false, true, false, true, false));
}

TEST(Layout, TheRootOverKeysOfSeveralPartitions) {
  const auto layout = Layout::make(Options{.subtree = "", .keys = {"/results/%i", "/x/%i"}}, 4);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_EQ(layout->key(0), "/results/0");
  EXPECT_EQ(layout->key(1), "/x/1");
  EXPECT_THAT(layout->visible_to(0), ElementsAre(true, true, true, true));
}

TEST(Layout, UnwatchedKeysAreNotExpected) {
  const auto layout = Layout::make(Options{.keys = {"/results/%i", "/x/%i"}}, 2);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_THAT(layout->visible_to(0), ElementsAre(true, false));
}

TEST(Layout, OnlyPublishersHaveKeys) {
  const auto layout = Layout::make(Options{.publishers = 2}, 5);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_EQ(layout->clients(), 5u);
  EXPECT_EQ(layout->publishers(), 2u);
  EXPECT_EQ(layout->watched_by(4), "/results/");
  EXPECT_THAT(layout->visible_to(4), ElementsAre(true, true));
  EXPECT_EQ(Layout::make(Options{.publishers = 9}, 5)->publishers(), 5u);
}

TEST(Layout, LoadedKeysFollowThePublishers) {
  const auto layout = Layout::make(Options{.publishers = 1, .subtrees = 2, .keys_loaded = 3}, 4);
  ASSERT_TRUE(layout.ok()) << layout.error();
  EXPECT_EQ(layout->writers(), 4u);
  EXPECT_EQ(layout->key(1), "/results/g0/k0");
  EXPECT_EQ(layout->key(2), "/results/g1/k1");
  EXPECT_THAT(layout->visible_to(1), ElementsAre(false, false, true, false));
  EXPECT_TRUE(Layout::make(Options{.publishers = 0, .keys_loaded = 1}, 4).ok());
  EXPECT_FALSE(Layout::make(Options{.publishers = 0}, 4).ok());
}

TEST(Layout, MorePartsThanClients) { EXPECT_TRUE(Layout::make(Options{.subtrees = 9}, 2).ok()); }

TEST(Layout, RefusesKeysThatCannotBeChecked) {
  const auto blind = Layout::make(Options{.keys = {"/x/%i"}}, 2);
  ASSERT_FALSE(blind.ok());
  EXPECT_THAT(blind.error(), HasSubstr("/results/"));

  const auto shared = Layout::make(Options{.keys = {"/results/%i", "/results/%i0"}}, 12);
  ASSERT_FALSE(shared.ok());
  EXPECT_THAT(shared.error(), HasSubstr("two clients"));

  const auto invalid =
      Layout::make(Options{.keys = {"/results/" + std::string(300, 'x') + "%i"}}, 1);
  ASSERT_FALSE(invalid.ok());
  EXPECT_THAT(invalid.error(), HasSubstr("key_too_long"));
}

}  // namespace
}  // namespace canopy::loadtest
