#include "core/coordination/directory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace canopy::coordination {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class DirectoryFileTest : public ::testing::Test {
 protected:
  ~DirectoryFileTest() override {
    file_.reset();
    fs::remove_all(directory_);
  }

  // The record that a broker recovers at its start.
  cluster::DirectoryRecord start() {
    file_.reset();
    auto file = DirectoryFile::open(directory_, milliseconds(0));
    EXPECT_TRUE(file) << file.error();
    file_ = std::move(*file);
    auto record = file_->record();
    EXPECT_TRUE(record) << record.error();
    return *record;
  }
  std::string text() {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  const std::string directory_ =
      ::testing::TempDir() + "canopy-directory-" + std::to_string(getpid()) + "/a/b";
  const std::string path_ = directory_ + "/generations";
  std::unique_ptr<DirectoryFile> file_;
};

TEST_F(DirectoryFileTest, NumbersGrowOverRestarts) {
  std::uint32_t last = DirectoryFile::first_generation;
  std::string identity;
  for (int restart = 0; restart < 20; ++restart) {
    auto record = start();
    if (restart == 0) identity = record.identity();
    EXPECT_EQ(record.identity(), identity);
    for (int i = 0; i < restart * restart; ++i) {
      const auto next = record.next();
      ASSERT_TRUE(next);
      EXPECT_GT(*next, last);
      last = *next;
    }
  }
  EXPECT_LT(last, DirectoryFile::first_generation + 6000) << "restarts lose few numbers";
}

TEST_F(DirectoryFileTest, HoldersAndTheFloorAreKept) {
  auto record = start();
  EXPECT_TRUE(record.set_holder("s1", "x-1"));
  EXPECT_TRUE(record.set_holder("s2", "y-2"));
  record.raise_floor(3'000'000);
  record = start();
  EXPECT_EQ(record.holder("s1"), "x-1");
  EXPECT_EQ(record.holder("s2"), "y-2");
  EXPECT_EQ(record.holder("s3"), "");
  EXPECT_EQ(record.floor(), 3'000'000U);
}

TEST_F(DirectoryFileTest, EntriesAreKeptAndVersionsGoOnAboveThem) {
  using Entries = cluster::DirectoryRecord::Entries;
  constexpr std::uint32_t generation = 3'000'000;
  const Entries entries = {
      {"k", {.value = "1", .version = std::uint64_t{generation} << 40, .session = "s"}}};
  auto record = start();
  EXPECT_EQ(record.take_entries(), Entries());
  EXPECT_TRUE(record.keep_entries(entries));
  file_.reset();
  fs::remove(path_);
  record = start();
  EXPECT_EQ(record.take_entries(), entries);
  EXPECT_GT(*record.next(), generation) << "also without the generations";
}

TEST_F(DirectoryFileTest, WithoutTheFileAnotherRecordBegins) {
  const std::string first = start().identity();
  file_.reset();
  fs::remove(path_);
  auto record = start();
  EXPECT_NE(record.identity(), first);
  EXPECT_EQ(*record.next(), DirectoryFile::first_generation + 1);
}

TEST_F(DirectoryFileTest, ADamagedFileIsAnErrorThatNamesIt) {
  (void)start();
  const std::string good = text();
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), good + "x", "canopy-generations 2\n" + good,
        std::string("canopy-generations 1\nrecord a\nreserved 99999999\nfloor 0\nend\n"),
        std::string("canopy-generations 1\nrecord a\nreserved -1\nfloor 0\nend\n")}) {
    file_.reset();
    std::ofstream(path_, std::ios::trunc) << bad;
    const auto file = DirectoryFile::open(directory_, milliseconds(0));
    ASSERT_FALSE(file) << bad;
    EXPECT_THAT(file.error(), HasSubstr(path_ + ": damaged"));
  }
}

TEST_F(DirectoryFileTest, ADirectoryInUseOrThatCannotBeMadeIsAnError) {
  (void)start();
  auto second = DirectoryFile::open(directory_, milliseconds(0));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("held by another running broker"));
  second = DirectoryFile::open("/dev/null/broker", milliseconds(0));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("/dev/null/broker: cannot be made"));
}

TEST_F(DirectoryFileTest, AFileThatCannotBeWrittenIsAnError) {
  (void)start();
  file_.reset();
  fs::remove(path_ + ".new");
  fs::create_directory(path_ + ".new");  // root may write anywhere, but not over a directory
  auto file = DirectoryFile::open(directory_, milliseconds(0));
  ASSERT_TRUE(file) << file.error();
  const auto record = (*file)->record();
  ASSERT_FALSE(record);
  EXPECT_THAT(record.error(), HasSubstr(path_ + ".new"));
}

}  // namespace
}  // namespace canopy::coordination
