#include "core/keyspace/partition_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace canopy::keyspace {
namespace {

TEST(PartitionMap, TheLongestPrefixOwns) {
  PartitionMap map;
  const auto root = map.add("");
  const auto results = map.add("/results/");
  const auto eu = map.add("/results/eu/");
  EXPECT_EQ(map.owner("/results/eu/42"), eu);
  EXPECT_EQ(map.owner("/results/eu"), results);
  EXPECT_EQ(map.owner("/results/us/42"), results);
  EXPECT_EQ(map.owner("/results"), root);
  EXPECT_EQ(map.owner("bare"), root);
}

TEST(PartitionMap, WithoutARootSomeKeysHaveNoOwner) {
  PartitionMap map;
  map.add("/results/");
  EXPECT_EQ(map.owner("/prices/1"), map.size());
}

// Every key under a prefix is owned by a partition that covers the prefix, and each covering
// partition could own one: against a scan of all partitions.
TEST(PartitionMap, CoversExactlyWhatAScanFinds) {
  std::mt19937 random(7);
  const auto path = [&](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) {
      text += '/';
      text += static_cast<char>('a' + random() % 3);
    }
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    std::set<std::string> subtrees{""};
    for (int i = 0; i < 6; ++i) subtrees.insert(path(1 + static_cast<int>(random() % 3)) + "/");
    PartitionMap map;
    for (const auto& subtree : subtrees) map.add(subtree);
    const auto scan = [&](const std::string& key) {
      std::string best;
      for (const auto& subtree : subtrees) {
        if (key.starts_with(subtree) && subtree.size() > best.size()) best = subtree;
      }
      return best;
    };
    for (int i = 0; i < 50; ++i) {
      const std::string key = path(1 + static_cast<int>(random() % 4));
      ASSERT_EQ(map.subtree(map.owner(key)), scan(key)) << key;
      const std::string prefix = key.substr(0, random() % (key.size() + 1));
      const auto covering = map.covering(prefix);
      ASSERT_EQ(covering.front(), map.owner(prefix)) << prefix;
      ASSERT_TRUE(std::ranges::find(covering, map.owner(key)) != covering.end())
          << prefix << " " << key;
    }
  }
}

}  // namespace
}  // namespace canopy::keyspace
