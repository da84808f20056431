// The placement of a partition that gives only the number of its replicas.
#include "core/config/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/config/capacity.h"
#include "core/config/cluster.h"

namespace canopy::config {
namespace {

using ::testing::ElementsAre;

Cluster parse(const std::string& text) {
  const auto cluster = parse_cluster(text, "c.yaml");
  EXPECT_TRUE(cluster) << cluster.error();
  return cluster ? *cluster : Cluster{};
}

std::string numbered(char prefix, int number) {
  return prefix + std::to_string(number / 10) + std::to_string(number % 10);
}

Cluster spread(int shards, int partitions, int replicas) {
  std::string text = "shards:\n";
  for (int i = 0; i < shards; ++i) text += "  - {name: " + numbered('s', i) + "}\n";
  text += "partitions:\n";
  for (int i = 0; i < partitions; ++i) {
    const std::string subtree = i == 0 ? "\"*\"" : "/" + numbered('p', i) + "/";
    text += "  - {subtree: " + subtree + ", replicas: " + std::to_string(replicas) + "}\n";
  }
  return parse(text);
}

// The difference between the largest and the smallest load of the shards.
std::size_t imbalance(const std::map<std::string, std::size_t>& loads, const Cluster& cluster) {
  std::size_t largest = 0;
  std::size_t smallest = cluster.partitions.size();
  for (const Shard& shard : cluster.shards) {
    const auto found = loads.find(shard.name);
    const std::size_t load = found == loads.end() ? 0 : found->second;
    largest = std::max(largest, load);
    smallest = std::min(smallest, load);
  }
  return largest - smallest;
}

TEST(Placement, SpreadsReplicasAndLeadersEvenly) {
  for (int shards = 1; shards <= 8; ++shards) {
    for (int replicas = 1; replicas <= std::min(shards, 7); ++replicas) {
      for (const int partitions : {shards, shards + 1, 3 * shards - 1, 30}) {
        SCOPED_TRACE(std::to_string(partitions) + " on " + std::to_string(shards) + ", each " +
                     std::to_string(replicas) + " times");
        const Cluster cluster = spread(shards, partitions, replicas);
        std::map<std::string, std::size_t> led;
        std::map<std::string, std::size_t> kept;
        for (const Partition& partition : cluster.partitions) {
          ASSERT_EQ(partition.on.size(), static_cast<std::size_t>(replicas));
          const std::set<std::string> distinct(partition.on.begin(), partition.on.end());
          EXPECT_EQ(distinct.size(), partition.on.size());
          ++led[partition.on.front()];
          for (const std::string& name : partition.on) ++kept[name];
        }
        EXPECT_LE(imbalance(led, cluster), 1u);
        EXPECT_LE(imbalance(kept, cluster), 2u);
      }
    }
  }
}

TEST(Placement, FollowersOfALeaderAreSpreadToo) {
  const Cluster cluster = spread(4, 12, 2);
  std::map<std::string, std::set<std::string>> followers;
  for (const Partition& each : cluster.partitions) followers[each.on[0]].insert(each.on[1]);
  for (const auto& [leader, others] : followers) EXPECT_GE(others.size(), 2u) << leader;
}

TEST(Placement, DoesNotDependOnOrder) {
  const Cluster one = parse(
      "partitions: [{subtree: '*', replicas: 2}, {subtree: /a/, replicas: 1}]\n"
      "shards: [{name: s1}, {name: s2}, {name: s3}]\n");
  const Cluster other = parse(
      "shards: [{name: s3}, {name: s1}, {name: s2}]\n"
      "partitions: [{replicas: 1, subtree: /a/}, {subtree: '*', replicas: 2}]\n");
  for (const char* subtree : {"", "/a/"}) {
    EXPECT_EQ(one.find_partition(subtree)->on, other.find_partition(subtree)->on) << subtree;
  }
}

TEST(Placement, FillsUpWhatIsPlacedByName) {
  const Cluster cluster = parse(
      "partitions: [{subtree: '*', on: [s1, s2]}, {subtree: /a/, replicas: 2}]\n"
      "shards: [{name: s1}, {name: s2, partitions: [{subtree: /b/}]}, {name: s3}]\n");
  EXPECT_THAT(cluster.find_partition("")->on, ElementsAre("s1", "s2"));
  EXPECT_THAT(cluster.find_partition("/a/")->on, ElementsAre("s3", "s1"));
  EXPECT_THAT(cluster.find_partition("/b/")->on, ElementsAre("s2"));
}

TEST(Capacity, AShardCountsTheOthersThatItSharesPartitionsWith) {
  const Cluster cluster = parse(
      "partitions:\n"
      "  - {subtree: '*', on: [s1, s2]}\n"
      "  - {subtree: /a/, on: [s2, s1]}\n"
      "  - {subtree: /b/, on: [s2, s3]}\n"
      "shards: [{name: s1}, {name: s2}, {name: s3}, {name: s4, partitions: [{subtree: /c/}]}]\n");
  const auto needed = [&](const char* shard) {
    return descriptors_of(*cluster.find_shard(shard), cluster);
  };
  EXPECT_EQ(needed("s1"), needed("s4") + 2);
  EXPECT_EQ(needed("s2"), needed("s4") + 4);
  EXPECT_EQ(needed("s3"), needed("s1"));
}

TEST(Capacity, AShardHasOneStoreForAllItsPartitionsOnDisk) {
  const auto needed = [](const std::string& durability, const std::string& others = "") {
    const Cluster cluster =
        parse("partitions: [{subtree: '*', on: [s1, s2], durability: " + durability + "}" + others +
              "]\nshards: [{name: s1}, {name: s2}]\n");
    return descriptors_of(cluster.shards.at(1), cluster);
  };
  EXPECT_EQ(needed("disk"), needed("memory") + 160) << "a follower has it, too";
  EXPECT_EQ(needed("disk", ", {subtree: /a/, on: [s2], durability: disk}"), needed("disk"));
}

}  // namespace
}  // namespace canopy::config
