#include "core/keyspace/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/core/keyspace/make_update.h"

namespace canopy::keyspace {
namespace {

using Model = std::map<std::string, std::string>;

UpdatePtr entry(const std::string& key, const std::string& value, std::uint64_t revision = 1) {
  return make_update({.key = key, .value = value, .revision = Revision(revision)});
}

Model contents(const TreeView& view, std::string_view from = "") {
  Model model;
  std::string last;
  for (auto cursor = view.seek(from); !cursor.done(); cursor.next()) {
    EXPECT_LE(last, (*cursor)->key);
    last = (*cursor)->key;
    model[std::string((*cursor)->key)] = (*cursor)->value;
  }
  return model;
}

TEST(Tree, FindsWhatWasPutLast) {
  Tree tree;
  tree.put(entry("/a", "1"));
  tree.put(entry("/a", "2"));
  EXPECT_EQ(tree.size(), 1u);
  EXPECT_EQ(tree.bytes(), 3u);
  EXPECT_EQ(tree.find("/a")->value, "2");
  EXPECT_EQ(tree.find("/b"), nullptr);
  EXPECT_TRUE(tree.erase("/a"));
  EXPECT_FALSE(tree.erase("/a"));
  EXPECT_EQ(tree.bytes(), 0u);
}

TEST(Tree, SeekStartsAtThePrefix) {
  Tree tree;
  for (const char* key : {"/a/1", "/b/1", "/b/2", "/c/1"}) tree.put(entry(key, ""));
  EXPECT_EQ((*tree.view().seek("/b/"))->key, "/b/1");
  EXPECT_EQ((*tree.view().seek("/b/1x"))->key, "/b/2");
  EXPECT_TRUE(tree.view().seek("/d").done());
  EXPECT_TRUE(Tree().view().seek("").done());
}

TEST(Tree, DifferenceTurnsOneStateIntoTheOther) {
  Tree before;
  before.put(entry("/kept", "x", 1));
  before.put(entry("/changed", "old", 2));
  before.put(entry("/gone", "x", 3));
  Tree after;
  after.put(entry("/kept", "x", 1));
  after.put(entry("/changed", "new", 5));
  after.put(entry("/fresh", "x", 6));
  const auto delete_key = [](std::string_view key) {
    return make_update({.key = key, .revision = Revision(9), .deleted = true});
  };
  for (const UpdatePtr& change : difference(before.view(), after.view(), delete_key)) {
    before.apply(change);
    if (change->deleted) {
      EXPECT_EQ(change->revision, Revision(9));
    }
  }
  EXPECT_EQ(contents(before.view()), contents(after.view()));
  EXPECT_TRUE(difference(before.view(), after.view(), delete_key).empty());
}

// Random puts and deletions against a plain map, with views taken on the way that must stay as
// they were.
class TreeProperty : public testing::TestWithParam<unsigned> {};

TEST_P(TreeProperty, AgreesWithAPlainMap) {
  std::mt19937 random(GetParam());
  Tree tree;
  Model model;
  std::size_t bytes = 0;
  std::vector<std::pair<TreeView, Model>> cuts;
  const auto key_count = std::uniform_int_distribution<int>(1, 3000)(random);
  const bool ordered = GetParam() % 3 == 0;
  for (int step = 0; step < 8000; ++step) {
    const int number = ordered && step < key_count
                           ? step
                           : std::uniform_int_distribution<int>(0, key_count)(random);
    const std::string key = "/k/" + std::to_string(100'000 + number);
    const int action = std::uniform_int_distribution<int>(0, 99)(random);
    // Phases that mostly grow and phases that mostly shrink.
    if (action < ((step / 2000) % 2 == 0 ? 75 : 25)) {
      const std::string value(static_cast<std::size_t>(action % 7), 'v');
      const auto old = model.find(key);
      bytes += value.size() + (old == model.end() ? key.size() : 0);
      bytes -= old == model.end() ? 0 : old->second.size();
      tree.put(entry(key, value));
      model[key] = value;
    } else {
      const auto old = model.find(key);
      ASSERT_EQ(tree.erase(key), old != model.end());
      if (old != model.end()) {
        bytes -= key.size() + old->second.size();
        model.erase(old);
      }
    }
    ASSERT_EQ(tree.size(), model.size());
    ASSERT_EQ(tree.bytes(), bytes);
    if (step % 997 == 0) cuts.emplace_back(tree.view(), model);
    if (step % 501 == 0) {
      const auto expected = Model(model.lower_bound(key), model.end());
      ASSERT_EQ(contents(tree.view(), key), expected);
      ASSERT_EQ(tree.find(key) != nullptr, model.contains(key));
    }
  }
  ASSERT_EQ(contents(tree.view()), model);
  for (const auto& [view, expected] : cuts) ASSERT_EQ(contents(view), expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TreeProperty, testing::Range(0u, 12u));

}  // namespace
}  // namespace canopy::keyspace
