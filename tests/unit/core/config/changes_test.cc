#include "core/config/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Cluster parse(const std::string& text) {
  auto cluster = parse_cluster(text, "c.yaml");
  EXPECT_TRUE(cluster) << cluster.error();
  return *cluster;
}

const std::string two_proxies =
    "shards: [{name: s1, partitions: [{subtree: '*'}, {subtree: /a/}]}]\n"
    "proxies: [{name: p1, native: 'tcp://127.0.0.1:1000'}, {name: p2}]\n";

TEST(Changes, AreNoneBetweenAFileAndItself) {
  EXPECT_EQ(changes(parse(two_proxies), parse(two_proxies)), Changes{});
}

TEST(Changes, TellWhatARunningProcessCanTakeOnFromWhatTakesARestart) {
  const auto found = changes(
      parse(two_proxies),
      parse("log_level: debug\n"
            "log_format: json\n"
            "coordination: {lease_ms: 700, replica_lag_ms: 7000, prefer_after_ms: 7}\n"
            "broker: {drain_ms: 7}\n"
            "shards: [{name: s1, partitions: [{subtree: '*', retain: false}, {subtree: /b/}]}]\n"
            "proxies: [{name: p1, max_clients: 7, max_linger_ms: 1, publish_share: 9,\n"
            "           upstream_queue_bytes: 100000, mirror_keep_ms: 3, egress_bytes: 9000000,\n"
            "           native: 'tcp://127.0.0.1:2000'}, {name: p3}]\n"));
  EXPECT_THAT(found.live, ElementsAre("log_level", "broker.drain_ms", "proxies.p1.max_clients",
                                      "proxies.p1.max_linger_ms", "proxies.p1.publish_share",
                                      "proxies.p1.upstream_queue_bytes",
                                      "proxies.p1.mirror_keep_ms", "proxies.p3 (added)"));
  EXPECT_THAT(found.fixed,
              ElementsAre("log_format", "coordination.lease_ms", "coordination.replica_lag_ms",
                          "coordination.prefer_after_ms", "partitions.*.retain",
                          "partitions./a/ (removed)", "partitions./b/ (added)", "proxies.p1.native",
                          "proxies.p1.egress_bytes", "proxies.p2 (removed)"));
}

TEST(Changes, OfReplicasTakeARestart) {
  const std::string shards = "shards: [{name: s1}, {name: s2}]\n";
  const Cluster running = parse(shards + "partitions: [{subtree: '*', on: [s1, s2]}]\n");
  const auto fixed = [&](const std::string& partition) {
    const Changes found = changes(running, parse(shards + "partitions: [" + partition + "]\n"));
    EXPECT_THAT(found.live, IsEmpty());
    return found.fixed;
  };
  EXPECT_THAT(fixed("{subtree: '*', on: [s1, s2]}"), IsEmpty());
  EXPECT_THAT(fixed("{subtree: '*', replicas: 2}"), IsEmpty());
  EXPECT_THAT(fixed("{subtree: '*', on: [s2, s1], min_in_sync: 2}"),
              ElementsAre("partitions.*.on", "partitions.*.min_in_sync"));
  EXPECT_THAT(fixed("{subtree: '*', on: [s1]}, {subtree: /a/, on: [s2]}"),
              ElementsAre("partitions.*.on", "partitions.*.replicas", "partitions./a/ (added)"));
}

TEST(Changes, OfTheFormOfAPartitionAreNone) {
  EXPECT_EQ(changes(parse("shards: [{name: s1, partitions: [{subtree: '*', retain: false}]}]\n"),
                    parse("shards: [{name: s1}]\n"
                          "partitions: [{subtree: '*', on: [s1], retain: false}]\n")),
            Changes{});
}

TEST(Changes, OfEtcdTakeARestart) {
  const std::string etcd = "coordination: {etcd: {endpoints: ['http://10.0.0.1:2379'], prefix: ";
  const Cluster running = parse(etcd + "canopy/one}}\n" + two_proxies);
  EXPECT_THAT(changes(running, parse(etcd + "canopy/two}}\n" + two_proxies)).fixed,
              ElementsAre("coordination.etcd.prefix"));
  EXPECT_THAT(changes(running, parse(two_proxies)).fixed, ElementsAre("coordination.etcd"));
  EXPECT_THAT(changes(running, running).fixed, IsEmpty());
}

TEST(Changes, AreNotedOfTemplates) {
  const std::string before =
      "broker: {supervise: false}\nshards: [{name: s1, partitions: [{subtree: '*'}]}]\nproxies:\n"
      "  - {name: proxy-*, ";
  const auto found = changes(parse(before + "max_linger_ms: 1, nofile: 2048}\n"),
                             parse(before + "max_linger_ms: 2, nofile: 4096}\n"));
  EXPECT_THAT(found.live, ElementsAre("proxies.proxy-*.max_linger_ms"));
  EXPECT_THAT(found.fixed, ElementsAre("proxies.proxy-*.nofile"));
}

TEST(Changes, OfOrderAloneAreNone) {
  const auto found =
      changes(parse(two_proxies),
              parse("proxies: [{name: p2}, {name: p1, native: 'tcp://127.0.0.1:1000'}]\n"
                    "shards: [{partitions: [{subtree: /a/}, {subtree: '*'}], name: s1}]\n"));
  EXPECT_THAT(found.live, IsEmpty());
  EXPECT_THAT(found.fixed, IsEmpty());
}

}  // namespace
}  // namespace canopy::config
