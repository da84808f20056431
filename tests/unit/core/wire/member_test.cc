#include "core/wire/member.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/cluster/registry.h"

namespace canopy::wire {
namespace {

TEST(MemberTest, AShardComesBackWhole) {
  const ShardMember shard{.name = "results",
                          .pid = 42,
                          .http = "127.0.0.1:8551",
                          .requests = "tcp://127.0.0.1:1",
                          .updates = "tcp://127.0.0.1:2",
                          .partitions = {{"/results/", "serving", 3}, {"", "failed: disk", 0}}};
  const auto parsed = parse_shard_member(to_json(shard));
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(to_json(*parsed), to_json(shard));
  EXPECT_EQ(parsed->pid, 42);
  ASSERT_EQ(parsed->partitions.size(), 2U);
  EXPECT_EQ(parsed->partitions[0].epoch, 3U);
  EXPECT_EQ(parsed->partitions[1].subtree, "");
  EXPECT_EQ(parsed->partitions[1].state, "failed: disk");
}

TEST(MemberTest, AProxyComesBackWhole) {
  const ProxyMember proxy{.name = "p1",
                          .pid = 43,
                          .http = "127.0.0.1:8561",
                          .state = "ready",
                          .clients = 7,
                          .max_clients = 300,
                          .native = "tcp://a:4",
                          .kvsimple = Triple{"tcp://a:1", "tcp://a:2", "tcp://a:3"},
                          .kvmsg = std::nullopt,
                          .chp = Triple{"tcp://a:7", "tcp://a:8", "tcp://a:9"}};
  const auto parsed = parse_proxy_member(to_json(proxy));
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(to_json(*parsed), to_json(proxy));
  EXPECT_EQ(parsed->native, "tcp://a:4");
  EXPECT_EQ(parsed->kvsimple->collector, "tcp://a:3");
  EXPECT_FALSE(parsed->kvmsg);
  EXPECT_EQ(parsed->clients, 7U);
}

TEST(MemberTest, VitalsComeBackWhole) {
  const Vitals vitals{.name = "p1",
                      .fds = 1,
                      .max_fds = 2,
                      .clients = 3,
                      .drops = 4,
                      .revisions = {{"*", 5}},
                      .uptime_ms = 6,
                      .updates = 7,
                      .deliveries = 8,
                      .delivered_bytes = 9,
                      .flush_interval_us = 10};
  const auto parsed = parse_vitals(to_json(vitals));
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(to_json(*parsed), to_json(vitals));
  EXPECT_EQ(parsed->deliveries, 8U);
  EXPECT_EQ(parsed->flush_interval_us, 10U);
}

TEST(MemberTest, UnknownFieldsAreLeftAlone) {
  const auto parsed = parse_proxy_member(R"({"name":"p1","colour":"blue","shape":{"a":[1]}})");
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(parsed->name, "p1");
  EXPECT_EQ(parsed->max_clients, 0U);
}

TEST(MemberTest, ErrorsNameTheField) {
  const auto shard = [](const char* json) { return parse_shard_member(json).error(); };
  const auto proxy = [](const char* json) { return parse_proxy_member(json).error(); };
  EXPECT_EQ(shard("{"), "not JSON");
  EXPECT_EQ(shard(""), "not JSON");
  EXPECT_EQ(shard("[]"), "'member' is not an object");
  EXPECT_EQ(shard("{}"), "'name' is missing");
  EXPECT_EQ(shard(R"({"name":7})"), "'name' is not a string");
  EXPECT_EQ(shard(R"({"name":"a","pid":"x"})"), "'pid' is not an integer");
  EXPECT_EQ(shard(R"({"name":"a","partitions":{}})"), "'partitions' is not an array");
  EXPECT_EQ(shard(R"({"name":"a","partitions":[{},7]})"), "'partitions[1]' is not an object");
  EXPECT_EQ(shard(R"({"name":"a","partitions":[{"epoch":-1}]})"),
            "'partitions[0].epoch' is not an integer in range");
  EXPECT_EQ(shard(R"({"name":"a","partitions":[{"epoch":4294967296}]})"),
            "'partitions[0].epoch' is not an integer in range");
  EXPECT_EQ(proxy(R"({"name":"a","clients":1.5})"), "'clients' is not an integer");
  EXPECT_EQ(proxy(R"({"name":"a","kvmsg":[]})"), "'kvmsg' is not an object");
  EXPECT_EQ(proxy(R"({"name":"a","kvmsg":{"updates":1}})"), "'kvmsg.updates' is not a string");
}

TEST(MemberTest, AllPartitionsOfAClusterFitIntoOneValue) {
  ShardMember shard{.name = std::string(63, 's')};
  Vitals vitals{.name = shard.name};
  for (std::size_t i = 0; i < base::max_partitions; ++i) {
    std::string subtree = std::to_string(i) + "/";
    subtree.insert(0, base::max_key_bytes - subtree.size(), '"');
    shard.partitions.push_back(
        {.subtree = subtree, .state = "failed: " + std::string(128, '"'), .epoch = UINT32_MAX});
    vitals.revisions[subtree] = UINT64_MAX;
  }
  EXPECT_LT(to_json(shard).size(), cluster::max_directory_value_bytes);
  EXPECT_EQ(parse_shard_member(to_json(shard))->partitions.size(), base::max_partitions);
  EXPECT_LT(to_json(vitals).size(), 1024u);
}

TEST(MemberTest, StrangeBytesNeverHarm) {
  EXPECT_FALSE(parse_shard_member(std::string(60'000, '[')));
  EXPECT_FALSE(parse_shard_member(std::string("{\"name\":\"\xff\xfe\"}")));
  const ShardMember odd{.name = "\xff\xfe"};
  EXPECT_TRUE(parse_shard_member(to_json(odd)));
}

}  // namespace
}  // namespace canopy::wire
