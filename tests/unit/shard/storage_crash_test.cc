// A store after a crash of its process, after the loss of unsynced data, and after damage.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "shard/storage.h"
#include "shard/wal_check.h"
#include "tests/unit/shard/storage_world.h"

extern char** environ;

namespace canopy::shard {
namespace {

// The present state of a copy; an error: why there is none.
std::string stored(const std::string& path) {
  auto storage = Storage::open(path);
  if (!storage) return "error: " + storage.error();
  auto copy = (*storage)->open_copy("/p/");
  return copy ? shown(copy->recovered) : "error: " + copy.error();
}

std::string contents(const fs::path& file) {
  std::ostringstream bytes;
  bytes << std::ifstream(file, std::ios::binary).rdbuf();
  return bytes.str();
}

void replace(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

class StorageCrash : public testing::Test {
 protected:
  // Writes groups of a story, and notes what has to be recovered after each.
  void write(int groups, bool sync, std::uint64_t seed = 3) {
    auto storage = Storage::open(path());
    ASSERT_TRUE(storage) << storage.error();
    ASSERT_TRUE((*storage)->open_copy("/p/"));
    Story story(seed);
    expected_ = {shown(story.expected())};
    for (int i = 0; i < groups; ++i) {
      ASSERT_TRUE((*storage)->write(group("/p/", story.next()), sync));
      expected_.push_back(shown(story.expected()));
    }
    // As a crash leaves it.
    fs::copy(path(), crashed(), fs::copy_options::recursive);
  }
  std::string path() const { return directory_ / "store"; }
  std::string crashed() const { return directory_ / "crashed"; }
  fs::path log() const { return directory_.files("crashed", ".log").back(); }
  // The state of the crashed store when its log is `log_bytes`.
  std::string stored_with(const std::string& log_bytes) const {
    const std::string name = directory_ / "tried";
    fs::remove_all(name);
    fs::copy(crashed(), name, fs::copy_options::recursive);
    replace(fs::path(name) / log().filename(), log_bytes);
    return stored(name);
  }
  // After how many groups the store was as it is shown; -1: never.
  std::ptrdiff_t groups_in(const std::string& state) const {
    const auto found = std::ranges::find(expected_, state);
    return found == expected_.end() ? -1 : found - expected_.begin();
  }

  Directory directory_;
  std::vector<std::string> expected_;
};

TEST_F(StorageCrash, RecoversAllThatWasWritten) {
  for (const bool sync : {true, false}) {
    fs::remove_all(path());
    fs::remove_all(crashed());
    write(100, sync);
    EXPECT_EQ(stored(crashed()), expected_.back());
  }
}

TEST_F(StorageCrash, ALogThatIsCutYieldsWholeGroups) {
  write(60, false);
  const std::string bytes = contents(log());
  std::mt19937_64 random(5);
  std::map<std::size_t, std::ptrdiff_t> groups_by_length;
  for (int i = 0; i < 20; ++i) {
    const std::size_t length = random() % bytes.size();
    const auto groups = groups_in(stored_with(bytes.substr(0, length)));
    ASSERT_GE(groups, 0) << "cut at " << length;
    groups_by_length[length] = groups;
  }
  std::ptrdiff_t before = 0;
  for (const auto& [length, groups] : groups_by_length) {
    EXPECT_GE(groups, before) << length;
    before = groups;
  }
  EXPECT_GT(before, 30);
}

// The machine has failed while it wrote pages that were never synced, in any order.
TEST_F(StorageCrash, UnsyncedDataMayBeBroken) {
  write(60, false);
  std::string bytes = contents(log());
  bytes.replace(bytes.size() / 2, 100, 100, '\0');
  const auto groups = groups_in(stored_with(bytes));
  EXPECT_GT(groups, 10);
  EXPECT_LT(groups, 50);
}

TEST_F(StorageCrash, WhatWasSyncedIsMissed) {
  write(60, true);
  std::string bytes = contents(log());
  for (const std::size_t at : {bytes.size() / 4, bytes.size() / 2}) {
    std::string damaged = bytes;
    damaged[at] ^= 1;
    const std::string state = stored_with(damaged);
    EXPECT_NE(state.find("damaged: what was synced"), std::string::npos) << state;
  }
  // The last group alone cannot be told from one that was being written.
  bytes.back() ^= 1;
  EXPECT_EQ(groups_in(stored_with(bytes)), 59);
}

TEST_F(StorageCrash, NoDamagedFileCrashesOrDeceivesTheReader) {
  write(60, true);
  { ASSERT_EQ(stored(crashed()), expected_.back()); }  // the log has become tables
  ASSERT_FALSE(directory_.files("crashed", ".sst").empty());
  std::mt19937_64 random(9);
  for (const auto& file : fs::directory_iterator(crashed())) {
    const std::string bytes = contents(file.path());
    if (bytes.empty()) continue;
    for (int i = 0; i < 6; ++i) {
      const std::string tried = directory_ / "tried";
      fs::remove_all(tried);
      fs::copy(crashed(), tried, fs::copy_options::recursive);
      std::string damaged = bytes;
      if (i == 0) {
        damaged.resize(bytes.size() / 2);
      } else {
        damaged[random() % bytes.size()] ^= static_cast<char>(1 + random() % 255);
      }
      replace(fs::path(tried) / file.path().filename(), damaged);
      const std::string state = stored(tried);
      EXPECT_TRUE(state == expected_.back() || state.starts_with("error: " + tried))
          << file.path() << ": " << state;
    }
  }
}

TEST_F(StorageCrash, AMissingFileIsNamed) {
  write(60, true);
  for (int i = 0; i < 2; ++i) {
    for (const std::string extension : {".log", ".sst"}) {
      for (const fs::path& file : directory_.files("crashed", extension)) {
        const std::string tried = directory_ / "tried";
        fs::remove_all(tried);
        fs::copy(crashed(), tried, fs::copy_options::recursive);
        fs::remove(fs::path(tried) / file.filename());
        const std::string state = stored(tried);
        EXPECT_TRUE(state.starts_with("error: ")) << file << ": " << state;
      }
    }
    ASSERT_EQ(stored(crashed()), expected_.back());  // the log has become tables
  }
  ASSERT_FALSE(directory_.files("crashed", ".sst").empty());
  fs::remove(directory_ / "crashed/CURRENT");
  EXPECT_TRUE(stored(crashed()).starts_with("error: "));
}

// A program of its own: it writes a story until it is killed, and says how far it is.
TEST(StorageCrashWriter, DISABLED_Run) {
  auto storage = Storage::open(std::getenv("CANOPY_TEST_STORE"));
  ASSERT_TRUE(storage) << storage.error();
  ASSERT_TRUE((*storage)->open_copy("/p/"));
  Story story(11, 60'000);
  while (true) {
    ASSERT_TRUE((*storage)->write(group("/p/", story.next()), true));
    ASSERT_EQ(::write(STDERR_FILENO, ".", 1), 1);
  }
}

TEST_F(StorageCrash, AKilledProcessLosesNothingStored) {
  for (const int groups : {1, 50, 400}) {
    fs::remove_all(path());
    ASSERT_EQ(setenv("CANOPY_TEST_STORE", path().c_str(), 1), 0);
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe[0]);
    std::string filter = "--gtest_filter=StorageCrashWriter.DISABLED_Run";
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::string name = "writer";
    char* arguments[] = {name.data(), filter.data(), disabled.data(), nullptr};
    pid_t writer = 0;
    ASSERT_EQ(posix_spawn(&writer, "/proc/self/exe", &actions, nullptr, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe[1]);
    std::ptrdiff_t reported = 0;
    char dots[64];
    ssize_t size = 0;
    while (reported < groups && (size = read(pipe[0], dots, sizeof dots)) > 0) reported += size;
    kill(writer, SIGKILL);
    while ((size = read(pipe[0], dots, sizeof dots)) > 0) reported += size;
    close(pipe[0]);
    ASSERT_EQ(waitpid(writer, nullptr, 0), writer);
    ASSERT_GE(reported, groups);

    Story story(11, 60'000);
    for (std::ptrdiff_t i = 0; i < reported; ++i) story.next();
    const std::string state = stored(path());
    const std::string acknowledged = shown(story.expected());
    story.next();
    EXPECT_TRUE(state == acknowledged || state == shown(story.expected())) << reported << state;
  }
}

}  // namespace
}  // namespace canopy::shard
