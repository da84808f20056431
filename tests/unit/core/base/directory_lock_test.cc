#include "core/base/directory_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace canopy::base {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class DirectoryLockTest : public ::testing::Test {
 protected:
  ~DirectoryLockTest() override { fs::remove_all(root_); }
  static std::unique_ptr<DirectoryLock> acquire(const std::string& directory) {
    auto lock = DirectoryLock::acquire(directory, 20ms);
    EXPECT_TRUE(lock) << lock.error();
    return std::move(*lock);
  }

  const std::string root_ = ::testing::TempDir() + "canopy-lock-" + std::to_string(getpid());
  const std::string directory_ = root_ + "/a";
};

TEST_F(DirectoryLockTest, OneProcessADirectory) {
  auto first = acquire(directory_);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(acquire(directory_), nullptr);
  first.reset();
  EXPECT_NE(acquire(directory_), nullptr);
}

TEST_F(DirectoryLockTest, TheIdentityIsOfTheDirectory) {
  const std::string first = acquire(directory_)->identity();
  EXPECT_EQ(acquire(directory_)->identity(), first) << "a restart";
  EXPECT_NE(acquire(root_ + "/b")->identity(), first) << "another directory";
  fs::copy(directory_, root_ + "/c");
  EXPECT_NE(acquire(root_ + "/c")->identity(), first) << "a copy";
  std::ofstream(directory_ + "/lock", std::ios::trunc) << "12";
  const std::string drawn = acquire(directory_)->identity();
  EXPECT_NE(drawn, first) << "damaged: drawn anew";
  EXPECT_EQ(acquire(directory_)->identity(), drawn);
}

TEST_F(DirectoryLockTest, ADirectoryThatCannotBeMadeIsAnError) {
  EXPECT_FALSE(DirectoryLock::acquire("/proc/no-such-place", 0ms));
}

}  // namespace
}  // namespace canopy::base
