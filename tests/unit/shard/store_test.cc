#include "shard/store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/base/limits.h"
#include "core/wire/entry.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;
using keyspace::Revision;
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
    return wire::make_update({.key = key,
                              .value = value,
                              .revision = Revision(4, counter),
                              .expires_at_ms = 5'000'000'000'000});
  }
  static UpdatePtr remove(std::uint64_t counter, const std::string& key) {
    return wire::make_update({.key = key, .revision = Revision(4, counter), .deleted = true});
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

TEST_F(StoreTest, RecoversEmptyValuesAndTheLongestUuid) {
  const auto update = wire::make_update({.key = "/p/a",
                                         .properties = "ttl=30.000000\n",
                                         .uuid = std::string(base::max_uuid_bytes, 'u'),
                                         .revision = Revision(4, 1)});
  {
    Store::Recovered recovered;
    auto store = Store::open(settings(), recovered);
    ASSERT_TRUE(store) << store.error();
    ASSERT_TRUE((*store)->begin_epoch(4));
    ASSERT_TRUE((*store)->write({update}, {}, now_));
  }
  Store::Recovered recovered;
  auto store = Store::open(settings(), recovered);
  ASSERT_TRUE(store) << store.error();
  const auto entry = recovered.tree.find("/p/a");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->value, "");
  EXPECT_FALSE(entry->deleted);
  EXPECT_EQ(entry->uuid, update->uuid);
  EXPECT_EQ(entry->properties, update->properties);
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

// As a shard uses it, with `sync: interval`: admits each update alone, gathers what fits, and puts
// it on disk each twenty updates, or before an update that asks for that.
class Writer {
 public:
  explicit Writer(Store::Settings settings) {
    settings.sync_interval = 1h;
    auto opened = Store::open(settings, recovered_);
    EXPECT_TRUE(opened) << opened.error();
    store_ = std::move(*opened);
    tree_ = recovered_.tree;
    EXPECT_TRUE(store_->begin_epoch(recovered_.epoch + 1));
    epoch_ = recovered_.epoch + 1;
  }

  Space::Verdict put(const std::string& key, const std::string& value) {
    return write({.key = key, .value = value});
  }
  Space::Verdict erase(const std::string& key) { return write({.key = key, .deletes = true}); }

  const keyspace::Tree& tree() const { return tree_; }
  Store& store() { return *store_; }

 private:
  Space::Verdict write(wire::Write write) {
    wire::WriteRequest request{.client = "0123456789abcdef", .writes = {write}};
    auto verdict = store_->capacity().admit(request, tree_);
    if (verdict == Space::Verdict::commit_first) {
      EXPECT_TRUE(store_->sync());
      verdict = store_->capacity().admit(request, tree_);
    }
    if (verdict != Space::Verdict::fits) return verdict;
    const Revision revision(epoch_, ++counter_);
    const auto update = wire::make_update(
        {.key = write.key, .value = write.value, .revision = revision, .deleted = write.deletes});
    const auto status = store_->write(
        {update}, {{.client = request.client, .number = counter_, .revision = revision}}, {});
    EXPECT_TRUE(status) << status.error();
    if (counter_ % 20 == 0) {
      EXPECT_TRUE(store_->sync());
    }
    tree_.apply(update);
    return verdict;
  }

  Store::Recovered recovered_;
  std::unique_ptr<Store> store_;
  keyspace::Tree tree_;
  std::uint32_t epoch_ = 0;
  std::uint64_t counter_ = 0;
};

std::string numbered(std::size_t number) { return "/p/" + std::to_string(number); }

TEST_F(StoreTest, AFullStoreTakesDeletionsAndWhatFits) {
  auto small = settings();
  small.max_bytes = 256 << 10;
  for (const std::size_t size : {100u, 1000u, 20'000u}) {
    SCOPED_TRACE(size);
    fs::remove_all(directory_);
    const std::string value(size, 'v');
    std::size_t count = 0;
    {
      Writer writer(small);
      while (writer.put(numbered(count), value) == Space::Verdict::fits)
        ASSERT_LT(++count, 10'000u);
      EXPECT_GT(count * (size + 8), small.max_bytes / 5) << "most of the space is used";
      EXPECT_NE(writer.store().capacity().full().find("max_state_bytes"), std::string::npos);
      EXPECT_EQ(writer.put(numbered(0), value), Space::Verdict::fits) << "no larger than before";
      EXPECT_EQ(writer.put("/p/new", value), Space::Verdict::full);
    }
    Writer again(small);  // a restart changes nothing
    EXPECT_EQ(again.tree().size(), count);
    EXPECT_EQ(again.put("/p/new", value), Space::Verdict::full);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(again.erase(numbered(i)), Space::Verdict::fits) << i;
    }
    ASSERT_TRUE(again.store().sync());
    EXPECT_EQ(again.store().capacity().full(), "");
    std::size_t recovered = 0;
    while (again.put(numbered(recovered), value) == Space::Verdict::fits) ++recovered;
    EXPECT_GE(recovered, count * 9 / 10);
  }
}

// Requests are kept beside the state, and do not use up its room.
TEST_F(StoreTest, RequestsDoNotFillAStore) {
  auto small = settings();
  small.max_bytes = 256 << 10;
  Writer writer(small);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(writer.put("/p/one", "v" + std::to_string(i)), Space::Verdict::fits) << i;
  }
}

// A value of several pages needs that many in a row: free ones in between must not add up.
TEST_F(StoreTest, LargeAndSmallValuesInTurnDoNotFillAStore) {
  auto small = settings();
  small.max_bytes = 1 << 20;
  Writer writer(small);
  std::mt19937 random(5);
  for (int i = 0; i < 4000; ++i) {
    const std::string key = numbered(random() % 12);
    ASSERT_EQ(writer.put(key, std::string(random() % 40'000, 'v')), Space::Verdict::fits) << i;
    if (random() % 3 == 0) {
      ASSERT_EQ(writer.erase(numbered(random() % 12)), Space::Verdict::fits);
    }
  }
}

TEST_F(StoreTest, ANewEpochForgetsWhatWasAdmittedAndNeverWritten) {
  auto small = settings();
  small.max_bytes = 256 << 10;
  Store::Recovered recovered;
  auto store = Store::open(small, recovered);
  ASSERT_TRUE(store) << store.error();
  const wire::WriteRequest request{.writes = {{.key = "/p/a", .value = std::string(200'000, 'v')}}};
  ASSERT_EQ((*store)->capacity().admit(request, recovered.tree), Space::Verdict::fits);
  EXPECT_EQ((*store)->capacity().admit(request, recovered.tree), Space::Verdict::commit_first);
  ASSERT_TRUE((*store)->begin_epoch(4));
  EXPECT_EQ((*store)->capacity().admit(request, recovered.tree), Space::Verdict::fits);
}

// What the file system cannot take, though it was admitted, leaves the store as it was.
TEST_F(StoreTest, AWriteThatFindsNoRoomChangesNothing) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  Store::Recovered recovered;
  auto opened = Store::open(settings(), recovered);
  ASSERT_TRUE(opened);
  Store& store = **opened;
  ASSERT_TRUE(store.begin_epoch(4));
  ASSERT_TRUE(store.write({put(1, "/p/a", "1")}, {}, now_));
  // A signal that the limit gives, and an error of its own that is none of a full disk.
  signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{fs::file_size(file()), limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const auto status = store.write({put(2, "/p/b", std::string(1 << 20, 'v'))}, {}, now_);
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_DFL);
  EXPECT_FALSE(status);
  EXPECT_FALSE(store.out_of_room()) << "any other error is not a matter of room";
  opened->reset();
  Store::Recovered after;
  ASSERT_TRUE(Store::open(settings(), after));
  EXPECT_EQ(after.tree.size(), 1u);
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
  EXPECT_EQ(Store::directory_name(std::string(248, 'x') + "/"), std::string(248, 'x') + "%2F");
  const std::string slashes(255, '/');
  EXPECT_EQ(Store::directory_name(slashes).size(), 251u);
  EXPECT_EQ(Store::directory_name(std::string(254, 'x') + "/"),
            std::string(234, 'x') + "~dff625324c997116");
  EXPECT_NE(Store::directory_name(slashes), Store::directory_name(slashes.substr(1)));
}

}  // namespace
}  // namespace canopy::shard
