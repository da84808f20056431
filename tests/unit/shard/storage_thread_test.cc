#include "shard/storage_thread.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "tests/unit/shard/storage_world.h"

namespace canopy::shard {
namespace {

using namespace std::chrono_literals;

class StorageThreadTest : public testing::Test {
 protected:
  void start(const std::string& name = "store") {
    auto storage = Storage::open(directory_ / name);
    ASSERT_TRUE(storage) << storage.error();
    thread_ = std::make_unique<StorageThread>(
        std::move(*storage), loop_,
        StorageThread::Events{
            .stored = [this](const std::string& partition,
                             std::uint64_t sequence) { stored_[partition] = sequence; },
            .changed = [this](const auto& condition) { conditions_.push_back(condition); }});
  }
  void run_until(const std::function<bool()>& done) {
    const auto timeout = loop_.after(60s, [&] {
      ADD_FAILURE() << "it takes too long";
      loop_.stop();
    });
    loop_.on_turn_end([&] {
      if (done()) loop_.stop();
    });
    loop_.run();
    loop_.on_turn_end([] {});
    loop_.cancel(timeout);
  }
  base::Result<Storage::Copy> open_copy(const std::string& partition,
                                        StorageThread::Settings settings = {}) {
    std::optional<base::Result<Storage::Copy>> answer;
    thread_->open_copy(partition, settings, [&](auto copy) { answer.emplace(std::move(copy)); });
    run_until([&] { return answer.has_value(); });
    return answer ? std::move(*answer) : base::Error{"no answer"};
  }
  std::uint64_t submit(const std::string& partition, std::vector<Replica::Operation> operations) {
    auto made = std::move(group(partition, std::move(operations)).front().operations);
    for (auto& each : made) each.sequence = ++sequence_;
    thread_->submit(partition, std::move(made));
    return sequence_;
  }
  std::string stored_copy(const std::string& name, const std::string& partition) {
    auto storage = Storage::open(directory_ / name);
    if (!storage) return storage.error();
    auto copy = (*storage)->open_copy(partition);
    return copy ? shown(copy->recovered) : copy.error();
  }

  Directory directory_;
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  std::map<std::string, std::uint64_t> stored_;
  std::vector<StorageThread::Condition> conditions_;
  std::uint64_t sequence_ = 0;
  std::unique_ptr<StorageThread> thread_;
};

TEST_F(StorageThreadTest, ReportsStoredOperations) {
  start();
  std::map<std::string, Story> stories;
  std::map<std::string, std::uint64_t> last;
  for (const std::uint64_t i : {1, 2, 3}) {
    const std::string partition = "/" + std::to_string(i) + "/";
    stories.emplace(partition, Story(i));
    ASSERT_TRUE(open_copy(partition, {.sync_interval = i == 3 ? base::Duration(1h) : 0s}));
  }
  for (int i = 0; i < 100; ++i) {
    for (auto& [partition, story] : stories) last[partition] = submit(partition, story.next());
  }
  EXPECT_GT(last["/3/"], 100u);
  run_until([&] { return stored_ == last; });
  EXPECT_EQ(thread_->queued_bytes(), 0u);
  thread_.reset();
  for (auto& [partition, story] : stories) {
    EXPECT_EQ(stored_copy("store", partition), shown(story.expected())) << partition;
  }
  EXPECT_TRUE(conditions_.empty());
}

TEST_F(StorageThreadTest, WritesSubmittedOperationsBeforeItEnds) {
  start();
  ASSERT_TRUE(open_copy("/p/"));
  Story story(1);
  for (int i = 0; i < 100; ++i) submit("/p/", story.next());
  EXPECT_GT(thread_->queued_bytes(), 0u);
  bool answered = false;
  thread_->backup(directory_ / "backup", [&](const auto&) { answered = true; });
  thread_.reset();
  EXPECT_EQ(stored_copy("store", "/p/"), shown(story.expected()));
  // Callbacks that it has posted are not called any more.
  loop_.after(0s, [&] { loop_.stop(); });
  loop_.run();
  EXPECT_TRUE(stored_.empty());
  EXPECT_FALSE(answered);
}

// After a kill of the process: no sync, no orderly end.
TEST_F(StorageThreadTest, WhatIsToldToBeStoredIsWrittenBeforeItIsSynced) {
  start();
  ASSERT_TRUE(open_copy("/p/", {.sync_interval = 1h}));
  Story story(1);
  std::uint64_t last = 0;
  for (int i = 0; i < 50; ++i) last = submit("/p/", story.next());
  run_until([&] { return stored_["/p/"] == last; });
  fs::copy(directory_ / "store", directory_ / "killed", fs::copy_options::recursive);
  EXPECT_EQ(stored_copy("killed", "/p/"), shown(story.expected()));
}

TEST_F(StorageThreadTest, BacksUpWhileItWrites) {
  start();
  ASSERT_TRUE(open_copy("/p/"));
  Story story(1);
  std::vector<std::string> states{shown(story.expected())};
  std::optional<base::Status> answer;
  const auto write = [&] {
    submit("/p/", story.next());
    states.push_back(shown(story.expected()));
  };
  for (int i = 0; i < 20; ++i) write();
  thread_->backup(directory_ / "backup", [&](auto status) { answer = status; });
  std::optional<base::Status> second;
  thread_->backup(directory_ / "second", [&](auto status) { second = status; });
  run_until([&] {
    write();
    return answer && second;
  });
  ASSERT_TRUE(answer && *answer) << answer->error();
  EXPECT_FALSE(*second);
  thread_.reset();
  EXPECT_NE(std::ranges::find(states, stored_copy("backup", "/p/")), states.end());
  EXPECT_EQ(stored_copy("store", "/p/"), states.back());
}

TEST_F(StorageThreadTest, DropsACopyAfterSubmittedOperations) {
  start();
  const auto before = open_copy("/p/");
  Story story(1);
  for (int i = 0; i < 10; ++i) submit("/p/", story.next());
  std::optional<base::Status> answer;
  thread_->drop_copy("/p/", [&](auto status) { answer = status; });
  run_until([&] { return answer.has_value(); });
  ASSERT_TRUE(answer && *answer);
  const auto after = open_copy("/p/");
  ASSERT_TRUE(before && after);
  EXPECT_NE(after->identity, before->identity);
  EXPECT_EQ(shown(after->recovered), shown({}));
}

// A disk that is full, and then larger. It takes root.
TEST_F(StorageThreadTest, WritesOnceThereIsRoom) {
  const std::string disk = directory_ / "disk";
  fs::create_directories(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=32m") != 0) {
    GTEST_SKIP() << "no disk of its own: " << std::strerror(errno);
  }
  start("disk/store");
  ASSERT_TRUE(open_copy("/p/"));
  submit("/p/", {Replica::BeginEpoch{.epoch = 1, .lineage = 7}});
  std::mt19937 random(1);
  std::uint64_t last = 0;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    std::string value(1'000'000, '\0');
    std::generate(value.begin(), value.end(), [&] { return static_cast<char>(random()); });
    last = submit("/p/", {Replica::StoreEntries{
                             .entries = {entry(Revision(1, i), "/p/" + std::to_string(i), value)},
                             .committed = true}});
  }
  const auto in_trouble = [&] {
    return !conditions_.empty() && !conditions_.back().trouble.empty();
  };
  run_until(in_trouble);
  EXPECT_TRUE(conditions_.back().low);
  EXPECT_GT(thread_->queued_bytes(), 0u);
  EXPECT_LT(stored_["/p/"], last);
  EXPECT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=256m"), 0);
  run_until([&] { return stored_["/p/"] == last && !in_trouble() && !conditions_.back().low; });
  thread_.reset();
  {
    auto storage = Storage::open(disk + "/store");
    ASSERT_TRUE(storage) << storage.error();
    auto copy = (*storage)->open_copy("/p/");
    ASSERT_TRUE(copy) << copy.error();
    EXPECT_EQ(copy->recovered.tree.size(), 60u);
  }
  umount2(disk.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace canopy::shard
