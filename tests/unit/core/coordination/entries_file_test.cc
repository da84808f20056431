#include "core/coordination/entries_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace canopy::coordination {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Entries = EntriesFile::Entries;

class EntriesFileTest : public ::testing::Test {
 protected:
  EntriesFileTest() { fs::create_directories(directory_); }
  ~EntriesFileTest() override {
    file_.reset();
    fs::remove_all(directory_);
  }

  // The file that a broker opens at its start.
  const Entries& start() {
    file_.reset();
    auto file = EntriesFile::open(directory_);
    EXPECT_TRUE(file) << file.error();
    file_ = std::move(*file);
    return file_->present();
  }
  void keep(const Entries& changed) {
    const auto status = file_->keep(changed);
    EXPECT_TRUE(status) << status.error();
    for (const auto& [key, entry] : changed) all_[key] = entry;
  }
  static Entries one(const std::string& key, const std::string& value, std::uint64_t version) {
    return {{key, {.value = value, .version = version, .session = "s 1", .request = 7}}};
  }
  std::string text() {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  void write(const std::string& bytes) {
    file_.reset();
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  const std::string directory_ =
      ::testing::TempDir() + "canopy-entries-" + std::to_string(getpid());
  const std::string path_ = directory_ + "/entries";
  std::unique_ptr<EntriesFile> file_;
  Entries all_;
};

TEST_F(EntriesFileTest, EntriesComeBackWhole) {
  EXPECT_TRUE(start().empty());
  keep(one("partitions/*", "{}", 1));
  keep(one("partitions/ä b/", std::string("\0\n batch 3 \xff", 12), ~0ULL));
  keep(one("empty", "", 3));
  keep(one("partitions/*", "{1}", 4));
  Entries many;
  for (std::uint64_t i = 0; i < 100; ++i) {
    many["k" + std::to_string(i)] = {
        .value = std::string(i, 'v'), .version = i, .session = std::string("\0\n", 2)};
  }
  keep(many);
  EXPECT_EQ(start(), all_);
  const std::string once = text();
  EXPECT_EQ(start(), all_);
  EXPECT_EQ(text(), once) << "a start writes nothing";
}

TEST_F(EntriesFileTest, ATornEndIsLeftOut) {
  (void)start();
  keep(one("a", "1", 1));
  const std::string before = text();
  const Entries present = all_;
  keep({{"a", {.value = "2", .version = 2}}, {"b", {.value = "2", .version = 3}}});
  const std::string after = text();
  for (std::size_t length = before.size(); length < after.size(); ++length) {
    write(after.substr(0, length));
    EXPECT_EQ(start(), present) << length;
    EXPECT_EQ(text(), before);
    std::string changed = after;
    changed[length] = static_cast<char>(changed[length] ^ 1);
    write(changed);
    EXPECT_EQ(start(), present) << length;
  }
}

TEST_F(EntriesFileTest, WhatIsBrokenBeforeAWholeBatchIsDamage) {
  (void)start();
  keep(one("a", "1", 1));
  const std::size_t end = text().size();
  keep(one("b", "2", 2));
  const std::string good = text();
  for (std::size_t at = 0; at < end; ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write(bad);
    const auto file = EntriesFile::open(directory_);
    ASSERT_FALSE(file) << at;
    EXPECT_THAT(file.error(), HasSubstr(path_ + ": damaged"));
  }
  write("");
  EXPECT_FALSE(EntriesFile::open(directory_)) << "it is never empty";
}

TEST_F(EntriesFileTest, TheFileStaysSmall) {
  (void)start();
  const std::string value(300, 'v');
  Entries records;
  for (int i = 0; i < 4096; ++i) {
    records["partitions/" + std::to_string(i) + "/"] = {.value = value, .version = 1};
  }
  keep(records);
  const std::size_t present = text().size();
  for (std::uint64_t i = 0; i < 20; ++i) {
    for (auto& [key, entry] : records) entry.version = 2 + i;
    keep(records);
    EXPECT_LE(text().size(), 2 * present + EntriesFile::spare_bytes);
  }
  EXPECT_EQ(start(), all_);
}

TEST_F(EntriesFileTest, AFileThatCannotBeWrittenIsAnErrorUntilItCan) {
  (void)start();
  keep(one("a", "1", 1));
  fs::create_directory(path_ + ".new");  // root may write anywhere, but not over a directory
  EXPECT_EQ(start(), all_);
  const std::string large(2 * EntriesFile::spare_bytes, 'v');  // takes a new file
  const auto refused = file_->keep(one("b", large, 2));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr(path_ + ".new"));
  EXPECT_FALSE(file_->keep(one("c", "2", 2)));
  EXPECT_EQ(file_->present(), all_);
  fs::remove(path_ + ".new");
  keep(one("c", "2", 2));
  EXPECT_EQ(start(), all_);
}

}  // namespace
}  // namespace canopy::coordination
