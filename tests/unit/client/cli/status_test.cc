#include "client/cli/status.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"

namespace canopy::client::cli {
namespace {

using wire::ProxyMember;
using wire::ShardMember;
using wire::Vitals;
using Parts = std::vector<wire::PartitionState>;

std::pair<std::string, std::string> shard(const std::string& name, Parts partitions) {
  return {"shards/" + name,
          to_json(ShardMember{.name = name, .pid = 11, .partitions = std::move(partitions)})};
}

std::pair<std::string, std::string> proxy(const std::string& name, const std::string& state) {
  return {"proxies/" + name, to_json(ProxyMember{.name = name, .pid = 22, .state = state})};
}

// The first of `in_sync` leads.
std::pair<std::string, std::string> record(const std::string& subtree,
                                           const std::vector<std::string>& in_sync) {
  cluster::PartitionRecord record{.epoch = 7, .lineage = 1, .leader = {in_sync[0], "x"}};
  for (const std::string& shard : in_sync) record.in_sync.push_back({shard, "x"});
  return {coordination::partition_key(subtree), coordination::to_json(record)};
}

ClusterStatus status(std::vector<std::pair<std::string, std::string>> members) {
  members.push_back(record("/a/", {"s1"}));
  members.push_back(record("", {"s1"}));
  return status_of({.request = 1, .members = std::move(members)});
}

const Parts serving = {{.subtree = "/a/", .state = "serving"}, {.subtree = "", .state = "serving"}};

TEST(Status, AClusterThatServesIsWell) {
  EXPECT_TRUE(status({shard("s1", serving), proxy("p1", "ready")}).well());
  EXPECT_TRUE(status({shard("s1", serving), proxy("p1", "full")}).well());
}

TEST(Status, ADrainedProxyIsNoFailureWhileOthersServe) {
  EXPECT_TRUE(status({shard("s1", serving), proxy("p1", "drained"), proxy("p2", "ready")}).well());
  EXPECT_FALSE(status({shard("s1", serving), proxy("p1", "drained")}).well());
}

TEST(Status, WhatDoesNotServeIsNotWell) {
  EXPECT_FALSE(status({}).well());
  EXPECT_FALSE(status({shard("s1", serving)}).well());
  EXPECT_FALSE(status({proxy("p1", "ready")}).well());
  for (const char* state : {"down", "starting", "draining", ""}) {
    EXPECT_FALSE(status({shard("s1", serving), proxy("p1", "ready"), proxy("p2", state)}).well())
        << state;
  }
  for (const char* state : {"loading", "down", "full: no space", "failed: no space"}) {
    const Parts half = {{.subtree = "/a/", .state = state}, {.subtree = "", .state = "serving"}};
    EXPECT_FALSE(status({shard("s1", half), proxy("p1", "ready")}).well()) << state;
  }
}

TEST(Status, AShardIsAsItsWorstPartition) {
  const auto state = [](Parts partitions) {
    return status({shard("s1", std::move(partitions))}).shards.at(0).state;
  };
  EXPECT_EQ(state(serving), "ready");
  EXPECT_EQ(state({{.state = "serving"}, {.state = "loading"}, {.state = "serving"}}), "loading");
  EXPECT_EQ(state({{.state = "full: disk"}, {.state = "loading"}, {.state = "full: disk"}}),
            "loading");
  EXPECT_EQ(state({{.state = "full: disk"}, {.state = "serving"}}), "full");
  EXPECT_EQ(state({{.state = "failed: disk"}, {.state = "loading"}}), "failed");
  EXPECT_EQ(state({{.state = "down"}}), "down");
}

TEST(Status, APartitionIsWellWhenItIsServedAndInSyncOnAllItsReplicas) {
  const auto is_well = [](const char* state, const std::vector<std::string>& in_sync) {
    const Parts other = {{.subtree = "/b/", .state = state}};
    return status({shard("s1", {{.subtree = "/a/", .state = "serving"},
                                {.subtree = "", .state = "serving"},
                                {.subtree = "/b/", .state = "serving"}}),
                   shard("s2", other), record("/b/", in_sync), proxy("p1", "ready")})
        .well();
  };
  EXPECT_TRUE(is_well("following s1", {"s1", "s2"}));
  EXPECT_FALSE(is_well("following s1", {"s1"})) << "it follows, but is not in sync";
  EXPECT_FALSE(is_well("loading", {"s1", "s2"}));
  EXPECT_FALSE(is_well("following s1", {"s2"})) << "s2 leads by the record, and does not serve";
}

TEST(Status, WhatCannotBeReadIsLeftOut) {
  const auto seen = status({{"shards/s1", "{"},
                            {"proxies/p1", "[]"},
                            {"vitals/p2", "nonsense"},
                            {"elsewhere/x", "{\"name\":\"x\"}"},
                            {"partitions//b/", "{}"},
                            {"partitions/b", record("", {"s1"}).second},
                            proxy("p2", "ready")});
  EXPECT_TRUE(seen.shards.empty());
  ASSERT_EQ(seen.proxies.size(), 1u);
  EXPECT_FALSE(seen.proxies[0].vitals);
  EXPECT_TRUE(seen.partitions.empty()) << "there are records, but no replicas";
}

ClusterStatus example() {
  const Vitals vitals{.name = "p1",
                      .fds = 64,
                      .max_fds = 1024,
                      .clients = 3,
                      .drops = 5,
                      .revisions = {{"*", 42}, {"/a/", 7}}};
  return status({{"vitals/p1", to_json(vitals)},
                 proxy("p2\x1b", "down"),
                 proxy("p1", "ready"),
                 shard("s1", serving),
                 shard("s2", {{.subtree = "/b/", .state = "waiting: for s3"}}),
                 shard("s0", {{.subtree = "/a/", .state = "following s1"}})});
}

TEST(Status, TheTableIsAligned) {
  EXPECT_EQ(to_table(example()),
            "ROLE   NAME    STATE    PID  CLIENTS  FDS      DROPS  REVISIONS\n"
            "shard  s0      ready    11   -        -        -      -\n"
            "shard  s1      ready    11   -        -        -      -\n"
            "shard  s2      waiting  11   -        -        -      -\n"
            "proxy  p1      ready    22   3        64/1024  5      *=42 /a/=7\n"
            "proxy  p2\\x1b  down     22   -        -        -      -\n"
            "\n"
            "PARTITION  LEADER  EPOCH  IN_SYNC  REPLICAS\n"
            "*          s1      7      s1       s1=serving\n"
            "/a/        s1      7      s1       s0=following,s1=serving\n"
            "/b/        -       -      -        s2=waiting\n");
}

TEST(Status, JsonSaysTheSame) {
  EXPECT_EQ(to_json(status({shard("s1", serving), proxy("p1", "ready"), proxy("p2\x1b", "down")})),
            R"({"shards":[{"name":"s1","state":"ready","pid":11,"clients":null,"fds":null,)"
            R"("max_fds":null,"drops":null,"revisions":{}}],"proxies":[{"name":"p1",)"
            R"("state":"ready","pid":22,"clients":null,"fds":null,"max_fds":null,"drops":null,)"
            R"("revisions":{}},{"name":"p2\u001b","state":"down","pid":22,)"
            R"("clients":null,"fds":null,"max_fds":null,"drops":null,"revisions":{}}],)"
            R"("partitions":[{"partition":"*","leader":"s1","epoch":7,"in_sync":["s1"],)"
            R"("replicas":[{"shard":"s1","state":"serving"}]},{"partition":"/a/","leader":"s1",)"
            R"("epoch":7,"in_sync":["s1"],"replicas":[{"shard":"s1","state":"serving"}]}]})"
            "\n");
  const std::string vitals = to_json(example());
  EXPECT_NE(vitals.find(R"("clients":3,"fds":64,"max_fds":1024,"drops":5,)"
                        R"("revisions":{"*":"42","/a/":"7"}})"),
            std::string::npos);
  EXPECT_NE(vitals.find(R"({"partition":"/b/","leader":null,"epoch":null,"in_sync":[],)"
                        R"("replicas":[{"shard":"s2","state":"waiting: for s3"}]})"),
            std::string::npos);
}

// The longest names, and every replica in sync.
TEST(Status, TheRecordsOfAllPartitionsFitIntoOneAnswer) {
  cluster::PartitionRecord record{.epoch = 8'388'607, .lineage = 1};
  for (std::size_t i = 0; i < base::max_replicas; ++i) {
    record.in_sync.push_back({std::string(63, 's') + std::to_string(i), std::string(64, 'x')});
  }
  record.leader = record.in_sync[0];
  wire::native::Members members{.request = 1};
  for (std::size_t i = 0; i < base::max_partitions; ++i) {
    const std::string number = std::to_string(10'000 + i);
    const std::string subtree = "/" + std::string(base::max_key_bytes - 7, 'p') + number + "/";
    members.members.emplace_back(coordination::partition_key(subtree),
                                 coordination::to_json(record));
  }
  const std::string frame = encode(members);
  EXPECT_LE(frame.size(), base::max_link_frame_bytes);
  const auto decoded = wire::native::decode_from_broker(frame);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<wire::native::Members>(*decoded).members.size(), base::max_partitions);
}

}  // namespace
}  // namespace canopy::client::cli
