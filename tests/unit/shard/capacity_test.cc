#include "shard/capacity.h"

#include <gtest/gtest.h>

#include "core/wire/entry.h"

namespace canopy::shard {
namespace {

using Verdict = Space::Verdict;
using keyspace::Revision;

constexpr std::uint64_t mebibyte = 1 << 20;

class CapacityTest : public testing::Test {
 protected:
  CapacityTest() { look(); }

  // What is on disk by now.
  void look() {
    capacity_.committed({.state_bytes = state_,
                         .leaf_pages = state_ / 4096,
                         .file_bytes = state_ + std::uint64_t{64} * 1024});
  }
  Verdict put(const std::string& key, std::size_t bytes) {
    return capacity_.admit({.writes = {{.key = key, .value = std::string(bytes, 'v')}}}, tree_);
  }
  Verdict erase(const std::string& key) {
    return capacity_.admit({.writes = {{.key = key, .deletes = true}}}, tree_);
  }
  void hold(const std::string& key, std::size_t bytes) {
    tree_.put(wire::make_update(
        {.key = key, .value = std::string(bytes, 'v'), .revision = Revision(1, 1)}));
  }

  std::uint64_t state_ = 0;
  std::uint64_t disk_ = 1024 * mebibyte;
  int extended_ = 0;
  keyspace::Tree tree_;
  Capacity capacity_{4 * mebibyte, [this](std::uint64_t bytes) {
                       ++extended_;
                       return bytes <= disk_;
                     }};
};

TEST_F(CapacityTest, WhatGrowsBeyondTheLimitIsRefusedAndTheRestTaken) {
  state_ = 4 * mebibyte - 8192;
  look();
  hold("/a", 100'000);
  EXPECT_EQ(put("/new", 100'000), Verdict::full);
  EXPECT_NE(capacity_.full(), "");
  EXPECT_EQ(put("/a", 100'000), Verdict::fits);
  EXPECT_EQ(put("/a", 10), Verdict::fits);
  EXPECT_EQ(erase("/a"), Verdict::fits);
  look();
  EXPECT_EQ(put("/small", 100), Verdict::fits);
}

TEST_F(CapacityTest, NearTheLimitWhatIsStagedIsCommittedBeforeMoreIsDecided) {
  state_ = 3 * mebibyte;
  look();
  EXPECT_EQ(put("/a", 600'000), Verdict::fits);
  EXPECT_EQ(put("/b", 600'000), Verdict::commit_first);
  state_ += 610'000;
  look();
  EXPECT_EQ(put("/b", 600'000), Verdict::full);
  state_ -= 610'000;  // deletions
  look();
  EXPECT_EQ(put("/b", 600'000), Verdict::fits);
  EXPECT_EQ(capacity_.full(), "");
}

TEST_F(CapacityTest, ARequestThatNoPartitionOfThisSizeHoldsDoesNotMakeItFull) {
  EXPECT_EQ(put("/a", 5 * mebibyte), Verdict::full);
  EXPECT_EQ(capacity_.full(), "");
}

TEST_F(CapacityTest, AFullDiskLeavesTheReserveToDeletions) {
  disk_ = mebibyte;
  for (int i = 0; put("/" + std::to_string(i), 50'000) == Verdict::fits; ++i) {
    ASSERT_LT(i, 20);
    state_ += 53'248;
    look();
  }
  EXPECT_NE(capacity_.full().find("disk"), std::string::npos);
  EXPECT_EQ(erase("/0"), Verdict::fits);
  EXPECT_EQ(put("/new", 50'000), Verdict::full) << "a commit would not make room for it";
}

TEST_F(CapacityTest, AFullDiskIsAskedAgainNotWithEachRequest) {
  disk_ = 0;
  EXPECT_EQ(put("/a", 10), Verdict::full);
  const int before = extended_;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(put("/a", 10), Verdict::full);
  EXPECT_EQ(extended_, before);
  capacity_.probe();
  EXPECT_NE(capacity_.full(), "");
  disk_ = 1024 * mebibyte;
  capacity_.probe();
  EXPECT_EQ(capacity_.full(), "");
  EXPECT_EQ(put("/a", 10), Verdict::fits);
}

TEST_F(CapacityTest, FarFromTheLimitsTheFileIsExtendedRarely) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(put("/a", 1000), Verdict::fits);
    look();
  }
  EXPECT_LE(extended_, 2);
}

TEST_F(CapacityTest, AFailedCommitStopsGrowthUntilThereIsRoom) {
  EXPECT_EQ(put("/a", 10), Verdict::fits);
  capacity_.failed();
  capacity_.withdrawn();
  EXPECT_NE(capacity_.full(), "");
  EXPECT_EQ(put("/a", 10), Verdict::full);
  EXPECT_EQ(erase("/a"), Verdict::fits);
  capacity_.withdrawn();
  capacity_.probe();
  EXPECT_EQ(put("/a", 10), Verdict::fits);
}

TEST_F(CapacityTest, WhatIsGatheredCountsUntilItIsOnDisk) {
  state_ = 3 * mebibyte;
  look();
  EXPECT_EQ(put("/a", 600'000), Verdict::fits);
  capacity_.gathered();
  EXPECT_EQ(put("/b", 100'000), Verdict::fits);
  capacity_.withdrawn();
  EXPECT_EQ(put("/b", 600'000), Verdict::commit_first);
}

TEST_F(CapacityTest, ExpiriesWaitForACommitOnlyWhenBlocksAreShort) {
  state_ = 4 * mebibyte;
  look();
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(capacity_.admit_expiry());
  look();
  disk_ = 0;
  capacity_.failed();
  EXPECT_TRUE(capacity_.admit_expiry());
  EXPECT_FALSE(capacity_.admit_expiry());
}

}  // namespace
}  // namespace canopy::shard
