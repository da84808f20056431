#include "shard/storage.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/shard/storage_world.h"

namespace canopy::shard {
namespace {

class StorageTest : public testing::Test {
 protected:
  void open(const std::string& name = "store") {
    storage_.reset();
    auto storage = Storage::open(directory_ / name);
    ASSERT_TRUE(storage) << storage.error();
    storage_ = std::move(*storage);
  }
  Storage::Copy open_copy(const std::string& partition, bool retain = true) {
    auto copy = storage_->open_copy(partition, retain);
    EXPECT_TRUE(copy) << copy.error();
    return copy ? std::move(*copy) : Storage::Copy();
  }
  void write(std::vector<Replica::Operation> operations, const std::string& partition = "/p/") {
    const auto status = storage_->write(group(partition, std::move(operations)), true);
    ASSERT_TRUE(status) << status.error();
  }
  static Replica::StoreEntries committed(std::vector<LogEntry> entries) {
    return {.entries = std::move(entries), .committed = true};
  }

  Directory directory_;
  std::unique_ptr<Storage> storage_;
};

TEST_F(StorageTest, ACopyKeepsItsIdentity) {
  open();
  const auto first = open_copy("/p/");
  const auto other = open_copy("/q/");
  EXPECT_EQ(first.identity.size(), 32u);
  EXPECT_NE(first.identity, other.identity);
  EXPECT_EQ(shown(first.recovered), shown({}));
  open();
  EXPECT_EQ(open_copy("/p/").identity, first.identity);
  EXPECT_EQ(open_copy("/q/").identity, other.identity);
}

TEST_F(StorageTest, RecoversRandomOperations) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const std::string partition = "/story" + std::to_string(seed) + "/";
    Story story(seed);
    open();
    open_copy(partition);
    for (int i = 0; i < 200; ++i) {
      write(story.next(), partition);
      if (i % 67 != 0) continue;
      open();
      ASSERT_EQ(shown(open_copy(partition).recovered), shown(story.expected()))
          << seed << ": " << i;
    }
  }
}

TEST_F(StorageTest, PartitionsDoNotMix) {
  open();
  std::map<std::string, Story> stories;
  for (std::uint64_t i = 0; i < 5; ++i) {
    // Names of which one is the beginning of the other.
    const std::string partition(i, '/');
    stories.emplace(partition, Story(i));
    open_copy(partition);
  }
  for (int i = 0; i < 50; ++i) {
    std::vector<Storage::Operations> groups;
    for (auto& [partition, story] : stories) {
      groups.push_back(group(partition, story.next()).front());
    }
    ASSERT_TRUE(storage_->write(std::move(groups), i % 2 == 0));
  }
  open();
  for (auto& [partition, story] : stories) {
    EXPECT_EQ(shown(open_copy(partition).recovered), shown(story.expected())) << partition;
  }
}

TEST_F(StorageTest, KeepsTheLastRequestsInOrder) {
  open();
  open_copy("/p/");
  const std::uint64_t count = Storage::max_requests + 1000;
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 7}});
  for (std::uint64_t i = 1; i <= count;) {
    std::vector<LogEntry> entries;
    for (int j = 0; j < 1000 && i <= count; ++j, ++i) {
      entries.push_back(requested(Revision(1, i), "/p/a", "v", i));
    }
    write({committed(std::move(entries))});
  }
  open();
  const auto requests = open_copy("/p/").recovered.requests;
  ASSERT_EQ(requests.size(), Storage::max_requests);
  for (std::size_t i = 0; i < requests.size(); ++i) ASSERT_EQ(requests[i].number, 1001 + i);
}

TEST_F(StorageTest, APartitionThatRetainsNothingKeepsNoEntries) {
  open();
  open_copy("/p/", false);
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 7},
         committed({requested(Revision(1, 1), "/p/a", "v", 1)}),
         Replica::StoreEntries{.entries = {requested(Revision(1, 2), "/p/b", "v", 2)}}});
  open();
  const auto recovered = open_copy("/p/", false).recovered;
  EXPECT_EQ(recovered.tree.size(), 0u);
  EXPECT_EQ(recovered.requests.size(), 1u);
  EXPECT_EQ(recovered.tail.size(), 1u);
  EXPECT_EQ(recovered.committed, Revision(1, 1));
}

TEST_F(StorageTest, ADroppedPartitionComesBackAsAnotherReplica) {
  open();
  const auto before = open_copy("/p/").identity;
  open_copy("/q/");
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 7},
         committed({entry(Revision(1, 1), "/p/a", "v")})});
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 8},
         committed({entry(Revision(1, 1), "/q/a", "v")})},
        "/q/");
  ASSERT_TRUE(storage_->drop_copy("/p/"));
  ASSERT_TRUE(storage_->drop_copy("/never/"));
  for (int i = 0; i < 2; ++i) {
    const auto copy = open_copy("/p/");
    EXPECT_NE(copy.identity, before);
    EXPECT_EQ(shown(copy.recovered), shown({}));
    EXPECT_EQ(open_copy("/q/").recovered.tree.size(), 1u);
    open();
  }
}

// A large copy is written in several batches.
TEST_F(StorageTest, InstallsALargeCopyOverAnother) {
  open();
  open_copy("/p/");
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 7},
         committed({requested(Revision(1, 1), "/p/old", "v", 1)})});
  keyspace::Tree tree;
  for (int i = 0; i < 4000; ++i) {
    tree.put(entry(Revision(2, 5), "/p/" + std::to_string(i), std::string(1000, 'v')).update);
  }
  const std::vector<keyspace::EpochEnd> history{{.epoch = 2, .lineage = 9, .last = 5}};
  write({Replica::Install{
      .tree = tree.view(), .requests = {}, .cut = Revision(2, 5), .history = history}});
  write({committed({entry(Revision(2, 6), "/p/new", "v")})});
  open();
  const auto recovered = open_copy("/p/").recovered;
  EXPECT_EQ(recovered.tree.size(), 4001u);
  EXPECT_EQ(recovered.tree.find("/p/old"), nullptr);
  EXPECT_TRUE(recovered.requests.empty());
  EXPECT_EQ(recovered.committed, Revision(2, 6));
  EXPECT_EQ(recovered.history.back().last, 6u);
}

TEST_F(StorageTest, ABackupIsRestoredAsOtherReplicas) {
  open();
  Story story(1);
  const auto before = open_copy("/p/").identity;
  for (int i = 0; i < 50; ++i) write(story.next());
  ASSERT_TRUE(storage_->backup(directory_ / "backups/b"));
  const std::string expected = shown(story.expected());
  for (int i = 0; i < 50; ++i) write(story.next());
  EXPECT_FALSE(Storage::restore(directory_ / "backups/b", directory_ / "store"))
      << "never over one";
  fs::create_directory(directory_ / "restored");
  for (const char* name : {"restored", "again"}) {  // an empty directory, and none
    const auto status = Storage::restore(directory_ / "backups/b", directory_ / name);
    ASSERT_TRUE(status) << status.error();
    open(name);
    const auto copy = open_copy("/p/");
    EXPECT_EQ(shown(copy.recovered), expected);
    EXPECT_NE(copy.identity, before);
  }
  EXPECT_FALSE(Storage::restore(directory_ / "again", directory_ / "third")) << "it was opened";
  EXPECT_FALSE(fs::exists(directory_ / "again.new.reserve"));
}

TEST_F(StorageTest, ADamagedBackupIsNotRestored) {
  open();
  open_copy("/p/");
  write({Replica::BeginEpoch{.epoch = 1, .lineage = 7},
         committed({entry(Revision(1, 1), "/p/a", std::string(100, 'v'))})});
  ASSERT_TRUE(storage_->backup(directory_ / "b"));
  for (const fs::path& table : directory_.files("b", ".sst")) {
    const fs::path kept = directory_ / "kept";
    fs::copy_file(table, kept);
    fs::remove(table);
    EXPECT_FALSE(Storage::restore(directory_ / "b", directory_ / "to")) << "a table is missing";
    fs::copy_file(kept, table);
    std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3);  // in a block of data
    file.put('\xff');
    file.close();
    EXPECT_FALSE(Storage::restore(directory_ / "b", directory_ / "to")) << "a block is damaged";
    EXPECT_FALSE(fs::exists(directory_ / "to"));
    EXPECT_FALSE(fs::exists(directory_ / "to.new"));
    fs::rename(kept, table);
  }
  EXPECT_TRUE(Storage::restore(directory_ / "b", directory_ / "to"));
}

TEST_F(StorageTest, ABackupHoldsTheStateAsOtherReplicas) {
  open();
  Story story(1);
  const auto before = open_copy("/p/").identity;
  for (int i = 0; i < 50; ++i) write(story.next());
  const std::string expected = shown(story.expected());
  ASSERT_TRUE(storage_->backup(directory_ / "backup"));
  EXPECT_FALSE(storage_->backup(directory_ / "backup")) << "never over another one";
  for (int i = 0; i < 50; ++i) write(story.next());
  open("backup");
  const auto copy = open_copy("/p/");
  EXPECT_EQ(shown(copy.recovered), expected);
  EXPECT_NE(copy.identity, before);
  open("backup");
  EXPECT_EQ(open_copy("/p/").identity, copy.identity) << "drawn once";
  open();
  EXPECT_EQ(open_copy("/p/").identity, before);
  EXPECT_EQ(shown(open_copy("/p/").recovered), shown(story.expected()));
}

TEST_F(StorageTest, OneProcessAloneHasADatabaseOpen) {
  open();
  EXPECT_FALSE(Storage::open(directory_ / "store"));
}

TEST_F(StorageTest, ASplitMakesTheCopyOfThePart) {
  open();
  const auto whole = open_copy("/p/");
  keyspace::Tree tree;
  std::vector<keyspace::AppliedRequest> requests;
  std::vector<LogEntry> entries;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const std::string key = (i % 2 == 0 ? "/p/a/" : "/p/b/") + std::to_string(i);
    entries.push_back(requested(Revision(1, i), key, "v", i));
    if (i % 2 == 0) tree.put(entries.back().update);
    requests.push_back(*entries.back().request);
  }
  const auto split =
      wire::make_update({.key = "/p/a/", .revision = Revision(1, 21), .splits = true});
  auto tail = entries;
  tail.push_back({.update = split});
  tail.push_back(entry(Revision(1, 22), "/p/b/last", "v"));
  write({Replica::BeginEpoch{1, 9}, Replica::StoreEntries{.entries = tail}});
  const std::vector<keyspace::EpochEnd> history{{1, 9, 21}};
  const Replica::Split operation{
      .entry = split, .tree = tree.view(), .requests = requests, .history = history};
  write({operation, Replica::Commit{Revision(1, 22)}});
  // The copy of the part is open, too.
  write({Replica::BeginEpoch{2, 10}, committed({entry(Revision(2, 1), "/p/a/new", "v")})}, "/p/a/");
  EXPECT_TRUE(*storage_->has_copy("/p/a/"));
  EXPECT_FALSE(*storage_->has_copy("/p/c/"));
  open();
  const auto part = open_copy("/p/a/");
  EXPECT_EQ(part.identity, whole.identity);
  EXPECT_EQ(part.recovered.tree.size(), 11u);
  EXPECT_EQ(part.recovered.committed, Revision(2, 1));
  EXPECT_EQ(part.recovered.requests.size(), 20u);
  const auto left = open_copy("/p/");
  EXPECT_EQ(left.recovered.tree.size(), 11u);
  EXPECT_EQ(left.recovered.tree.find("/p/a/2"), nullptr);
  EXPECT_EQ(left.recovered.committed, Revision(1, 22));
  ASSERT_EQ(left.recovered.splits.list().size(), 1u);
  EXPECT_EQ(left.recovered.splits.newest(), Revision(1, 21));
}

TEST_F(StorageTest, ASplitLeavesACopyThatIsOpen) {
  open();
  open_copy("/p/");
  const auto part = open_copy("/p/a/");
  write({Replica::BeginEpoch{1, 9}, committed({entry(Revision(1, 1), "/p/a/kept", "v")})}, "/p/a/");
  const auto split =
      wire::make_update({.key = "/p/a/", .revision = Revision(1, 2), .splits = true});
  write({Replica::BeginEpoch{1, 9},
         Replica::StoreEntries{
             .entries = {entry(Revision(1, 1), "/p/a/old", "v"), LogEntry{.update = split}}}});
  write({Replica::Split{.entry = split, .tree = keyspace::Tree().view()}});
  open();
  EXPECT_EQ(open_copy("/p/").recovered.tree.size(), 0u);
  const auto kept = open_copy("/p/a/");
  EXPECT_EQ(kept.identity, part.identity);
  EXPECT_NE(kept.recovered.tree.find("/p/a/kept"), nullptr);
}

}  // namespace
}  // namespace canopy::shard
