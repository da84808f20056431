#include "core/coordination/partition_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/cluster/registry.h"

namespace canopy::coordination {
namespace {

using ::testing::StartsWith;

const cluster::PartitionRecord record{.epoch = 2'097'153,
                                      .lineage = 0xfedcba9876543210,
                                      .leader = {"s2", "b"},
                                      .in_sync = {{"s1", "a"}, {"s2", "b"}}};

TEST(PartitionRecordTest, ARecordComesBackWhole) {
  const auto parsed = parse_partition_record(to_json(record));
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(*parsed, record);
  auto small = record;
  small.lineage = 1;
  EXPECT_EQ(*parse_partition_record(to_json(small)), small);
  small.placement = {"s3", "s1"};
  EXPECT_EQ(*parse_partition_record(to_json(small)), small);
  small.splits = {"/a/b/", "/a/"};
  EXPECT_EQ(*parse_partition_record(to_json(small)), small);
  for (const char* parent : {"", "/a/"}) {
    small.parent = parent;
    EXPECT_EQ(*parse_partition_record(to_json(small)), small);
  }
}

TEST(PartitionRecordTest, SplitsAndParentAreSubtrees) {
  auto split = record;
  split.splits = {"/a/"};
  split.parent = "/b/";
  const std::string good = to_json(split);
  for (const char* bad : {R"("/a")", R"(["/a"])", R"(["/a/","/a/"])", "[1]"}) {
    std::string text = good;
    text.replace(text.find(R"(["/a/"])"), 7, bad);
    EXPECT_FALSE(parse_partition_record(text)) << text;
  }
  for (const char* bad : {R"("/b")", R"("")", "7"}) {
    std::string text = good;
    text.replace(text.find(R"("/b/")"), 5, bad);
    EXPECT_FALSE(parse_partition_record(text)) << text;
  }
}

TEST(PartitionRecordTest, APlacementIsAListOfDifferentShards) {
  auto placed = record;
  placed.placement = {"s3", "s1"};
  const std::string good = to_json(placed);
  for (const char* list : {R"("s1")", R"([1])", R"([""])", R"(["s1","s1"])", "{}"}) {
    std::string text = good;
    text.replace(text.find(R"(["s3","s1"])"), 11, list);
    EXPECT_FALSE(parse_partition_record(text)) << text;
  }
}

TEST(PartitionRecordTest, AnElectionNamesItsPartition) {
  for (const char* subtree : {"", "/a/"}) {
    EXPECT_EQ(subtree_of(election_key(subtree), elections_prefix).value(), subtree);
    EXPECT_FALSE(subtree_of(election_key(subtree)));
  }
}

TEST(PartitionRecordTest, IsReadable) {
  EXPECT_EQ(to_json(record),
            R"({"epoch":2097153,"in_sync":[{"identity":"a","shard":"s1"},)"
            R"({"identity":"b","shard":"s2"}],"leader":{"identity":"b","shard":"s2"},)"
            R"("lineage":"fedcba9876543210"})");
}

TEST(PartitionRecordTest, WhatIsNoRecordIsAnError) {
  const auto error = [](std::string json, const std::string& part, const std::string& wrong) {
    const auto at = json.find(part);
    EXPECT_NE(at, json.npos) << part;
    json.replace(at, part.size(), wrong);
    const auto parsed = parse_partition_record(json);
    return parsed ? std::string("none") : parsed.error();
  };
  const std::string good = to_json(record);
  EXPECT_EQ(error(good, "{", "{\"later\":1,"), "none") << "unknown fields";
  EXPECT_EQ(error(good, good, ""), "not a JSON object");
  EXPECT_EQ(error(good, good, "[]"), "not a JSON object");
  for (const char* wrong : {"0", "-1", "8388608", "4294967297", "1.5", "\"1\"", "null"}) {
    EXPECT_THAT(error(good, "2097153", wrong), StartsWith("'epoch'")) << wrong;
  }
  for (const char* wrong : {"", "1", "000000000000000g", "0000000000000000", "00000000000000001"}) {
    EXPECT_THAT(error(good, "fedcba9876543210", wrong), StartsWith("'lineage'")) << wrong;
  }
  EXPECT_THAT(error(good, "\"leader\"", "\"x\""), StartsWith("'leader'"));
  EXPECT_THAT(error(good, "\"in_sync\"", "\"x\""), StartsWith("'in_sync'"));
  EXPECT_THAT(error(good, R"("shard":"s1")", R"("shard":"")"), StartsWith("'in_sync'"));
  EXPECT_THAT(error(good, R"("shard":"s1")", R"("shard":"s3")"), StartsWith("'in_sync'"));
  EXPECT_THAT(error(good, R"({"identity":"a","shard":"s1"},)", R"({"identity":"b","shard":"s2"},)"),
              StartsWith("'in_sync'"))
      << "twice";
  EXPECT_EQ(error(good, R"("identity":"b","shard":"s2"}],)", R"("identity":"c","shard":"s2"}],)"),
            "the leader is not in sync");
}

TEST(PartitionRecordTest, KeysNamePartitions) {
  EXPECT_EQ(partition_key(""), "partitions/*");
  EXPECT_EQ(partition_key("/results/"), "partitions//results/");
  for (const std::string& subtree : {std::string(), std::string("/results/"), std::string("a/")}) {
    const auto found = subtree_of(partition_key(subtree));
    ASSERT_TRUE(found) << found.error();
    EXPECT_EQ(*found, subtree);
  }
  for (const char* key : {"partitions/", "partitions/a", "shards/a/", "", "partitions/**"}) {
    EXPECT_FALSE(subtree_of(key)) << key;
  }
  const std::string longest = std::string(base::max_key_bytes - 1, 's') + "/";
  EXPECT_LE(partition_key(longest).size(), cluster::max_directory_key_bytes);
}

}  // namespace
}  // namespace canopy::coordination
