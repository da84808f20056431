#include "client/cli/status.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

using coordination::ProxyMember;
using coordination::ShardMember;
using coordination::Vitals;
using Parts = std::vector<coordination::PartitionState>;

std::pair<std::string, std::string> shard(const std::string& name, Parts partitions) {
  return {"shards/" + name,
          to_json(ShardMember{.name = name, .pid = 11, .partitions = std::move(partitions)})};
}

std::pair<std::string, std::string> proxy(const std::string& name, const std::string& state) {
  return {"proxies/" + name, to_json(ProxyMember{.name = name, .pid = 22, .state = state})};
}

ClusterStatus status(std::vector<std::pair<std::string, std::string>> members) {
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

TEST(Status, WhatCannotBeReadIsLeftOut) {
  const auto seen = status({{"shards/s1", "{"},
                            {"proxies/p1", "[]"},
                            {"vitals/p2", "nonsense"},
                            {"elsewhere/x", "{\"name\":\"x\"}"},
                            proxy("p2", "ready")});
  EXPECT_TRUE(seen.shards.empty());
  ASSERT_EQ(seen.proxies.size(), 1u);
  EXPECT_FALSE(seen.proxies[0].vitals);
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
                 shard("s1", serving)});
}

TEST(Status, TheTableIsAligned) {
  EXPECT_EQ(to_table(example()),
            "ROLE   NAME    STATE  PID  CLIENTS  FDS      DROPS  REVISIONS\n"
            "shard  s1      ready  11   -        -        -      -\n"
            "proxy  p1      ready  22   3        64/1024  5      *=42 /a/=7\n"
            "proxy  p2\\x1b  down   22   -        -        -      -\n");
}

TEST(Status, JsonSaysTheSame) {
  EXPECT_EQ(to_json(example()),
            R"({"shards":[{"name":"s1","state":"ready","pid":11,"clients":null,"fds":null,)"
            R"("max_fds":null,"drops":null,"revisions":{}}],"proxies":[{"name":"p1",)"
            R"("state":"ready","pid":22,"clients":3,"fds":64,"max_fds":1024,"drops":5,)"
            R"("revisions":{"*":"42","/a/":"7"}},{"name":"p2\u001b","state":"down","pid":22,)"
            R"("clients":null,"fds":null,"max_fds":null,"drops":null,"revisions":{}}]})"
            "\n");
}

}  // namespace
}  // namespace canopy::client::cli
