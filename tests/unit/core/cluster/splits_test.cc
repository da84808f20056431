// The part of a partition's state that a split removes.
#include "core/keyspace/splits.h"

#include <gtest/gtest.h>

#include <random>

#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/wire/entry.h"

namespace canopy::keyspace {
namespace {

UpdatePtr put(const std::string& key, std::uint64_t counter, bool deleted = false) {
  return wire::make_update({.key = key,
                            .value = deleted ? "" : "v",
                            .revision = Revision(1, counter),
                            .deleted = deleted});
}

UpdatePtr split(const std::string& subtree, std::uint64_t counter) {
  return wire::make_update({.key = subtree, .revision = Revision(1, counter), .splits = true});
}

std::vector<std::string> keys(const Tree& tree) {
  std::vector<std::string> keys;
  for (auto at = tree.view().seek(""); !at.done(); at.next()) keys.emplace_back((*at)->key);
  return keys;
}

TEST(SplitsTest, CoverWhatIsBelowThem) {
  Splits splits;
  EXPECT_FALSE(splits.cover("/a/b"));
  splits.add(split("/a/b/", 1));
  splits.add(split("/c/", 2));
  EXPECT_TRUE(splits.cover("/a/b/"));
  EXPECT_TRUE(splits.cover("/a/b/x/y"));
  EXPECT_FALSE(splits.cover("/a/b"));
  EXPECT_FALSE(splits.cover("/a/c"));
  EXPECT_TRUE(splits.cover("/c/x"));
  EXPECT_EQ(splits.newest(), Revision(1, 2));
  splits.add(split("/c/d/", 3));
  EXPECT_EQ(splits.list().size(), 2u) << "it is covered";
}

TEST(SplitsTest, APartTakesWhatIsBelowIt) {
  Splits splits;
  for (const char* subtree : {"/a/b/", "/a/c/", "/b/"}) splits.add(split(subtree, 1));
  const Splits part = splits.extract("/a/");
  splits.add(split("/a/", 2));
  EXPECT_TRUE(part.cover("/a/b/x"));
  EXPECT_FALSE(part.cover("/a/x"));
  EXPECT_EQ(part.list().size(), 2u);
  EXPECT_EQ(splits.list().size(), 2u);
  EXPECT_TRUE(splits.cover("/a/x"));
}

TEST(SplitsTest, ATreeIsDividedExactly) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const int count = round < 20 ? round : 700;
    Tree tree;
    for (int i = 0; i < count; ++i) {
      const std::string place = std::string("/") + "abc"[random() % 3] + "/";
      tree.put(put(place + std::to_string(random() % 2000), static_cast<std::uint64_t>(i + 1)));
    }
    const TreeView before = tree.view();
    const std::vector<std::string> all = keys(tree);
    const std::size_t bytes = tree.bytes();
    const std::string prefix = std::string("/") + "abcd"[random() % 4] + "/";
    Tree part = tree.extract(prefix);
    EXPECT_EQ(part.size() + tree.size(), all.size());
    EXPECT_EQ(part.bytes() + tree.bytes(), bytes);
    EXPECT_EQ(before.size(), all.size()) << "a view keeps its state";
    std::vector<std::string> inside, outside;
    for (const std::string& key : all) (key.starts_with(prefix) ? inside : outside).push_back(key);
    EXPECT_EQ(keys(part), inside);
    EXPECT_EQ(keys(tree), outside);
    part.put(put(prefix + "new", 5000));
    tree.put(put("/zz/new", 5001));
    EXPECT_EQ(part.size(), inside.size() + 1);
    EXPECT_EQ(tree.find(prefix + "new"), nullptr);
    for (const std::string& key : inside) EXPECT_NE(part.find(key), nullptr) << key;
  }
}

TEST(SplitsTest, DeletionsAreDividedAndKeepTheirFloor) {
  Tombstones all;
  all.reset(Revision(1, 1));
  for (std::uint64_t i = 2; i < 3000; ++i) {
    all.add(put((i % 3 == 0 ? "/a/" : "/b/") + std::to_string(i), i, true));
  }
  const Tombstones part = all.extract("/a/");
  EXPECT_EQ(part.floor(), Revision(1, 1));
  EXPECT_EQ(all.floor(), Revision(1, 1));
  EXPECT_EQ(part.size() + all.size(), 2998u);
  for (const UpdatePtr& each : part.after(Revision(1, 500))) {
    EXPECT_TRUE(each->key.starts_with("/a/"));
    EXPECT_GT(each->revision, Revision(1, 500));
  }
}

TEST(SplitsTest, ASplitEntryIsEncodedAndReadAtEveryCut) {
  const UpdatePtr entry = split("/a/b/", 300);
  const std::string bytes(entry->encoded());
  const auto decoded = wire::decode_update(bytes);
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_TRUE((*decoded)->splits);
  EXPECT_EQ((*decoded)->key, "/a/b/");
  EXPECT_EQ((*decoded)->revision, Revision(1, 300));
  EXPECT_EQ((*decoded)->encoded(), bytes);
  EXPECT_GE(
      wire::make_update({.key = "/", .revision = Revision(1), .splits = true})->encoded().size(),
      wire::smallest_entry);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(wire::decode_update(bytes.substr(0, cut))) << cut;
  }
  EXPECT_FALSE(wire::decode_update(bytes + "x"));
  EXPECT_FALSE(wire::decode_update(wire::make_update({.key = "/a", .splits = true})->encoded()));
}

}  // namespace
}  // namespace canopy::keyspace
