// A disk that fills up: a tmpfs, which needs root.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "shard/storage.h"
#include "tests/unit/shard/storage_world.h"

namespace canopy::shard {
namespace {

constexpr int disk_mebibytes = 64;  // the reserve is an eighth

class StorageFull : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(disk());
    const std::string size = "size=" + std::to_string(disk_mebibytes) + "m";
    if (mount("tmpfs", disk().c_str(), "tmpfs", 0, size.c_str()) != 0) {
      GTEST_SKIP() << "no disk of its own: " << std::strerror(errno);
    }
    mounted_ = true;
    open();
    ASSERT_TRUE(storage_->write(
        group("/p/", {Replica::BeginEpoch{.epoch = 1, .lineage = 7}, put("/p/0", 'a')}), true));
  }
  ~StorageFull() override {
    storage_.reset();
    if (mounted_) umount2(disk().c_str(), MNT_DETACH);
  }

  std::string disk() const { return directory_ / "disk"; }
  void open() {
    storage_.reset();
    auto storage = Storage::open(disk() + "/store");
    ASSERT_TRUE(storage) << storage.error();
    storage_ = std::move(*storage);
    auto copy = storage_->open_copy("/p/");
    ASSERT_TRUE(copy) << copy.error();
    recovered_ = std::move(copy->recovered);
  }
  // Leaves at most `bytes` of the disk free.
  void use_up(std::uint64_t bytes) {
    const std::uint64_t available = fs::space(disk()).available;
    std::ofstream file(disk() + "/filler", std::ios::binary | std::ios::app);
    if (available > bytes) file << std::string(available - bytes, 'f');
  }
  void wait_for_room() {
    while (storage_->low()) {
      const auto status = storage_->check_space();
      ASSERT_TRUE(status) << status.error();
      std::this_thread::yield();
    }
  }
  // A value that does not compress, and begins with `first_byte`.
  std::string value(char first_byte, std::size_t size) {
    std::string bytes(size, first_byte);
    std::generate(bytes.begin() + 1, bytes.end(), [&] { return static_cast<char>(random_()); });
    return bytes;
  }
  Replica::StoreEntries put(const std::string& key, char first_byte, std::size_t size = 100'000) {
    revision_ = revision_.next();
    return {.entries = {entry(revision_, key, value(first_byte, size))}, .committed = true};
  }
  Replica::StoreEntries remove(const std::string& key) {
    revision_ = revision_.next();
    return {.entries = {entry(revision_, key, {}, true)}, .committed = true};
  }
  bool write(Replica::StoreEntries operation) {
    const auto status = storage_->write(group("/p/", {std::move(operation)}), true);
    if (!status) std::cout << status.error() << "\n";
    return status.ok();
  }

  Directory directory_;
  std::unique_ptr<Storage> storage_;
  Replica::Recovered recovered_;
  Revision revision_{1, 0};
  std::mt19937 random_{1};
  bool mounted_ = false;
};

TEST_F(StorageFull, ReportsLowSpaceInTime) {
  EXPECT_FALSE(storage_->low());
  use_up(SpaceReserve::min_free_bytes / 4);
  ASSERT_TRUE(storage_->check_space());
  EXPECT_TRUE(storage_->low());
  fs::remove(disk() + "/filler");
  ASSERT_TRUE(storage_->check_space());
  EXPECT_FALSE(storage_->low());
}

TEST_F(StorageFull, DeletionsAndOverwritesGoOnWithoutAByteOfTheDisk) {
  for (int i = 1; i < 100; ++i) ASSERT_TRUE(write(put("/p/" + std::to_string(i), 'a')));
  while (!storage_->low()) {  // what compactions free is used up as well
    use_up(0);
    ASSERT_TRUE(storage_->check_space());
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(write(put("/p/0", static_cast<char>('b' + i))));
  for (int i = 1; i < 100; ++i) ASSERT_TRUE(write(remove("/p/" + std::to_string(i)))) << i;
  fs::remove(disk() + "/filler");
  wait_for_room();
  open();
  ASSERT_EQ(recovered_.tree.size(), 1u);
  EXPECT_EQ(recovered_.tree.find("/p/0")->value[0], 'b' + 19);
}

// The store frees the space of deleted entries by itself.
TEST_F(StorageFull, DeletionsMakeRoom) {
  int count = 0;
  while (!storage_->low()) {
    ASSERT_TRUE(write(put("/p/" + std::to_string(++count), 'a')));
    ASSERT_TRUE(storage_->check_space());
    ASSERT_LT(count, 10 * disk_mebibytes);
  }
  for (int i = 1; i <= count; ++i) ASSERT_TRUE(write(remove("/p/" + std::to_string(i))));
  wait_for_room();
  ASSERT_TRUE(write(put("/p/again", 'a')));
}

// As on a follower, which cannot refuse entries of its leader.
TEST_F(StorageFull, AWriteWithoutRoomSucceedsOnceThereIsRoom) {
  // An attempt may free what the one before has left.
  int written = 1;
  while (write(put("/p/" + std::to_string(written), 'a', 1'000'000)) || storage_->retry()) {
    ++written;
    ASSERT_LT(written, 2 * disk_mebibytes);
  }
  EXPECT_TRUE(storage_->out_of_room());
  EXPECT_FALSE(storage_->open_copy("/q/"));
  EXPECT_FALSE(write(remove("/p/0"))) << "not out of turn";
  revision_ = Revision(revision_.value() - 1);
  ASSERT_EQ(mount("tmpfs", disk().c_str(), "tmpfs", MS_REMOUNT, "size=512m"), 0);
  const auto status = storage_->retry();
  ASSERT_TRUE(status) << status.error();
  ASSERT_TRUE(write(put("/p/last", 'a')));
  open();
  EXPECT_EQ(recovered_.tree.size(), static_cast<std::size_t>(written) + 2);
}

TEST_F(StorageFull, StartsOnAFullDisk) {
  for (int i = 1; i < 100; ++i) ASSERT_TRUE(write(put("/p/" + std::to_string(i), 'a')));
  use_up(0);
  for (int i = 0; i < 3; ++i) open();
  EXPECT_EQ(recovered_.tree.size(), 100u);
  // A compaction may take the room at this moment, and gives it back.
  ASSERT_TRUE(write(remove("/p/1")) || storage_->retry());
}

TEST_F(StorageFull, ReportsLowSpaceAfterAStart) {
  ASSERT_TRUE(write(put("/p/1", 'a')));
  storage_.reset();
  use_up(0);  // nothing is in the log that would be freed
  open();
  EXPECT_TRUE(storage_->low());
  ASSERT_TRUE(write(put("/p/1", 'b')));
}

// A process that was killed while it compacted leaves a table that nothing refers to.
TEST_F(StorageFull, StartsThoughAnUnfinishedTableFillsTheDisk) {
  for (int i = 1; i < 40; ++i) ASSERT_TRUE(write(put("/p/" + std::to_string(i), 'a')));
  storage_.reset();
  const std::string table = disk() + "/store/900000.sst";
  const std::uint64_t available = fs::space(disk()).available;
  std::ofstream(table, std::ios::binary)
      << std::string(available + SpaceReserve::min_free_bytes * 2, 'x');
  fs::remove(disk() + "/store.reserve");
  std::ofstream(table, std::ios::binary | std::ios::app)
      << std::string(fs::space(disk()).available, 'x');
  open();
  EXPECT_EQ(recovered_.tree.size(), 40u);
  EXPECT_FALSE(fs::exists(table));
  ASSERT_TRUE(write(remove("/p/1")));
}

// An Install that finds no room leaves the copy as it was.
TEST_F(StorageFull, AnInstallThatFindsNoRoomChangesNothing) {
  keyspace::Tree tree;
  for (int i = 0; i < disk_mebibytes * 15; ++i) {
    tree.put(entry(Revision(2, 5), "/p/new" + std::to_string(i), value('n', 100'000)).update);
  }
  const Replica::Install install{.tree = tree.view(),
                                 .requests = {},
                                 .cut = Revision(2, 5),
                                 .history = {{.epoch = 2, .lineage = 1, .last = 5}}};
  EXPECT_FALSE(storage_->write(group("/p/", {install}), true));
  EXPECT_TRUE(storage_->out_of_room());
  open();
  ASSERT_EQ(recovered_.tree.size(), 1u);
  EXPECT_EQ(recovered_.committed, Revision(1, 1));
  use_up(0);
  ASSERT_TRUE(write(put("/p/0", 'b')));
}

}  // namespace
}  // namespace canopy::shard
