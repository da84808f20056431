#include "shard/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;
using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;
using namespace std::chrono_literals;

class StoreTest : public testing::Test {
 protected:
  StoreTest()
      : directory_(fs::temp_directory_path() /
                   ("canopy-store-" + std::to_string(getpid()) + "-" +
                    testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(directory_);
  }
  ~StoreTest() override { fs::remove_all(directory_); }

  Store::Settings settings() const { return {.path = (directory_ / "p").string()}; }
  std::string file() const { return settings().path + "/data.mdb"; }

  static UpdatePtr put(std::uint64_t counter, const std::string& key, const std::string& value) {
    return std::make_shared<Update>(Update{.key = key,
                                           .value = value,
                                           .revision = Revision(4, counter),
                                           .expires_at_ms = 5'000'000'000'000});
  }
  static UpdatePtr remove(std::uint64_t counter, const std::string& key) {
    return std::make_shared<Update>(
        Update{.key = key, .revision = Revision(4, counter), .deleted = true});
  }
  // A store with `count` entries, closed again.
  void fill(std::uint64_t count) {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    ASSERT_TRUE(store) << store.error();
    ASSERT_TRUE((*store)->begin_epoch(4));
    std::vector<UpdatePtr> updates;
    for (std::uint64_t i = 1; i <= count; ++i) {
      updates.push_back(put(i, "/p/" + std::to_string(i), std::string(100, 'v')));
    }
    ASSERT_TRUE((*store)->write(updates, {}, now_));
  }
  std::string error_on_open() {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    return store ? "" : store.error();
  }

  base::TimePoint now_{1h};
  fs::path directory_;
};

TEST_F(StoreTest, RecoversEntriesExpiriesAndEpoch) {
  {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    ASSERT_TRUE(store) << store.error();
    EXPECT_EQ(recovered.epoch, 0u);
    ASSERT_TRUE((*store)->begin_epoch(4));
    ASSERT_TRUE((*store)->write({put(1, "/p/a", "1"), put(2, "/p/b", "2")}, {}, now_));
    ASSERT_TRUE((*store)->write({remove(3, "/p/a"), remove(4, "/p/absent")}, {}, now_));
  }
  Store::Recovered recovered;
  auto store = Store::open(settings(), recovered);
  ASSERT_TRUE(store) << store.error();
  EXPECT_EQ(recovered.epoch, 4u);
  ASSERT_EQ(recovered.tree.size(), 1u);
  const auto entry = recovered.tree.find("/p/b");
  EXPECT_EQ(entry->value, "2");
  EXPECT_EQ(entry->revision, Revision(4, 2));
  EXPECT_EQ(entry->expires_at_ms, 5'000'000'000'000);
}

TEST_F(StoreTest, RecoversTheRequestsThatMadeTheEntries) {
  const auto request = [](std::uint64_t number) {
    return AppliedRequest{.client = "0123456789abcdef",
                          .number = number,
                          .settled = number - 1,
                          .revision = Revision(4, number)};
  };
  {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    ASSERT_TRUE(store) << store.error();
    EXPECT_TRUE(recovered.requests.empty());
    ASSERT_TRUE((*store)->begin_epoch(4));
    ASSERT_TRUE((*store)->write({put(300, "/p/a", "1")}, {request(1), request(300)}, now_));
    ASSERT_TRUE((*store)->write({put(301, "/p/a", "1")}, {request(301)}, now_));
  }
  Store::Recovered recovered;
  ASSERT_TRUE(Store::open(settings(), recovered));
  ASSERT_EQ(recovered.requests.size(), 3u);
  for (std::size_t i = 0; const std::uint64_t number : {1u, 300u, 301u}) {
    const AppliedRequest& each = recovered.requests[i++];
    EXPECT_EQ(each.client, "0123456789abcdef");
    EXPECT_EQ(each.number, number);
    EXPECT_EQ(each.settled, number - 1);
    EXPECT_EQ(each.revision, Revision(4, number));
  }
}

TEST_F(StoreTest, KeepsABoundedNumberOfRequests) {
  {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    ASSERT_TRUE(store) << store.error();
    ASSERT_TRUE((*store)->begin_epoch(4));
    std::vector<AppliedRequest> requests;
    for (std::uint64_t number = 1; number <= Store::max_requests + 10; ++number) {
      requests.push_back({.client = "c", .number = number, .revision = Revision(4, number)});
    }
    ASSERT_TRUE((*store)->write({put(Store::max_requests + 10, "/p/a", "1")}, requests, now_));
  }
  Store::Recovered recovered;
  ASSERT_TRUE(Store::open(settings(), recovered));
  ASSERT_EQ(recovered.requests.size(), Store::max_requests);
  EXPECT_EQ(recovered.requests.front().number, 11u);
}

TEST_F(StoreTest, AnIntervalGathersUntilItIsDue) {
  auto gathering = settings();
  gathering.sync_interval = 100ms;
  const auto count_on_disk = [&] {
    Store::Recovered recovered;
    auto copy = settings();
    copy.path += "-copy";
    fs::remove_all(copy.path);
    fs::copy(gathering.path, copy.path, fs::copy_options::recursive);
    EXPECT_TRUE(Store::open(copy, recovered));
    return recovered.tree.size();
  };
  Store::Recovered recovered;
  auto store = Store::open(gathering, recovered);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->begin_epoch(4));
  ASSERT_TRUE((*store)->write({put(1, "/p/a", "1")}, {}, now_));
  EXPECT_EQ(count_on_disk(), 0u);
  ASSERT_TRUE((*store)->sync_if_due(now_ + 99ms));
  EXPECT_EQ(count_on_disk(), 0u);
  ASSERT_TRUE((*store)->sync_if_due(now_ + 100ms));
  EXPECT_EQ(count_on_disk(), 1u);
  ASSERT_TRUE((*store)->write({put(2, "/p/b", "2")}, {}, now_ + 150ms));
  ASSERT_TRUE((*store)->sync());
  EXPECT_EQ(count_on_disk(), 2u);
}

TEST_F(StoreTest, AnEmptiedFileIsNotAnEmptyPartition) {
  fill(10);
  fs::resize_file(file(), 0);
  EXPECT_NE(error_on_open().find("empty"), std::string::npos) << error_on_open();
}

TEST_F(StoreTest, AMissingFileIsNotAnEmptyPartition) {
  fill(10);
  fs::remove(file());
  EXPECT_NE(error_on_open(), "");
}

TEST_F(StoreTest, ACutFileIsRefused) {
  fill(2000);
  const auto size = fs::file_size(file());
  for (const auto part : {size / 2, size - 4096, std::uintmax_t{5000}, std::uintmax_t{100}}) {
    fs::resize_file(file(), part);
    EXPECT_NE(error_on_open(), "") << part;
  }
}

TEST_F(StoreTest, GarbageIsRefused) {
  fill(10);
  std::ofstream(file()) << std::string(50'000, 'g');
  EXPECT_NE(error_on_open(), "");
}

// Whatever bytes are overwritten, opening says so or every entry that is read is a true one.
TEST_F(StoreTest, DamageInTheMiddleNeverCrashesAndNeverLies) {
  fill(500);
  std::ifstream in(file(), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    std::string bad = good;
    const std::size_t at = random() % bad.size();
    const std::size_t length = 1 + random() % 5000;
    for (std::size_t i = at; i < std::min(bad.size(), at + length); ++i) {
      bad[i] = static_cast<char>(random());
    }
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << bad;
    Store::Recovered recovered;
    const auto store = Store::open(settings(), recovered);
    if (!store) continue;
    for (auto entry = recovered.tree.view().seek(""); !entry.done(); entry.next()) {
      EXPECT_EQ((*entry)->value, std::string(100, 'v'));
    }
  }
}

TEST_F(StoreTest, AFullStoreSaysSoAndKeepsWhatItHad) {
  auto small = settings();
  small.max_bytes = 256 << 10;
  std::uint64_t written = 0;
  {
    Store::Recovered recovered;
    auto store = Store::open(small, recovered);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->begin_epoch(4));
    for (;;) {
      const auto status = (*store)->write(
          {put(written + 1, "/p/" + std::to_string(written + 1), std::string(1000, 'v'))}, {},
          now_);
      if (!status) {
        EXPECT_NE(status.error().find("max_state_bytes"), std::string::npos) << status.error();
        break;
      }
      ASSERT_LT(++written, 1000u);
    }
  }
  Store::Recovered recovered;
  auto store = Store::open(small, recovered);
  ASSERT_TRUE(store) << store.error();
  EXPECT_EQ(recovered.tree.size(), written);
}

TEST_F(StoreTest, ADirectoryThatCannotBeMadeIsAnError) {
  Store::Recovered recovered;
  EXPECT_FALSE(Store::open({.path = "/proc/no-such-place/p"}, recovered));
}

TEST_F(StoreTest, DirectoryNamesAreDistinctAndPlain) {
  EXPECT_EQ(Store::directory_name(""), "root");
  EXPECT_EQ(Store::directory_name("/results/"), "%2Fresults%2F");
  EXPECT_EQ(Store::directory_name("root/"), "root%2F");
  EXPECT_EQ(Store::directory_name("../"), "%2E%2E%2F");
}

}  // namespace
}  // namespace canopy::shard
