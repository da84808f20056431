#include "proxy/recent_cuts.h"

#include <gtest/gtest.h>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
using keyspace::Revision;

class RecentCutsTest : public testing::Test {
 protected:
  void add(std::string_view prefix, std::size_t partition, std::uint64_t counter,
           std::uint64_t lineage = 1) {
    cuts_.add(prefix, {{partition, Revision(1, counter), lineage}}, now_);
  }
  // "partition:counter" of each.
  std::string since(std::string_view prefix) {
    std::string text;
    for (const auto& cut : cuts_.since(prefix, now_)) {
      text += (text.empty() ? "" : " ") + std::to_string(cut.partition) + ":" +
              (cut.lineage == 0 ? "?" : std::to_string(cut.revision.counter()));
    }
    return text;
  }

  RecentCuts cuts_;
  base::TimePoint now_{1h};
};

TEST_F(RecentCutsTest, TheOldestThatSharesKeysDecides) {
  EXPECT_EQ(since(""), "");
  add("/a/", 0, 5);
  now_ += 3s;
  add("/a/b/", 0, 7);
  add("/c/", 2, 1);
  EXPECT_EQ(since("/a/b/"), "0:5");
  EXPECT_EQ(since("/a/"), "0:5");
  EXPECT_EQ(since("/a/x"), "0:5");
  EXPECT_EQ(since(""), "0:5 2:1");
  EXPECT_EQ(since("/b/"), "");
}

TEST_F(RecentCutsTest, AreForgottenAfterTheWindow) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    add("/a/", 0, i);
    now_ += 500ms;
  }
  now_ -= 500ms;
  const auto oldest = cuts_.since("/a/", now_).at(0).revision.counter();
  EXPECT_LE(oldest, 99 - RecentCuts::window / 500ms) << "nothing of the window is missing";
  EXPECT_GE(oldest, 99 - (RecentCuts::window + 2 * RecentCuts::merged) / 500ms);
  EXPECT_LE(cuts_.size(), 13u) << "cuts close together count as one";
  now_ += RecentCuts::window + 2 * RecentCuts::merged;
  EXPECT_EQ(since("/a/"), "");
  EXPECT_EQ(cuts_.size(), 0u);
}

TEST_F(RecentCutsTest, CutsOfSeveralHistoriesHaveNoRevision) {
  add("/a/", 0, 5, 1);
  add("/a/", 0, 3, 2);
  EXPECT_EQ(since("/a/"), "0:?");
}

TEST_F(RecentCutsTest, ManyPrefixesBecomeOne) {
  for (std::size_t i = 0; i < 10'000; ++i) {
    add("/" + std::to_string(i) + "/", i % 3, i);
  }
  EXPECT_LE(cuts_.size(), RecentCuts::max_prefixes + 3);
  EXPECT_EQ(since("/0/").substr(0, 4), "0:0 ") << "and further ones count for all keys";
  EXPECT_EQ(since("/9999/"), "0:33 1:34 2:32");
}

}  // namespace
}  // namespace canopy::proxy
