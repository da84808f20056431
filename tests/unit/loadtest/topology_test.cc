#include "loadtest/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loadtest/cluster_probe.h"
#include "loadtest/step.h"

namespace canopy::loadtest {
namespace {

using testing::HasSubstr;
using wire::clone::Dialect;

constexpr const char* document = R"({
  "broker": {"name": "broker", "pid": 10},
  "shards": [{"name": "results", "pid": 11, "partitions": [{"subtree": "/results/"}]}],
  "proxies": [
    {"name": "p1", "pid": 12, "state": "ready", "clients": 3, "max_clients": 300,
     "http": "h:80", "native": "tcp://h:7",
     "kvsimple": {"snapshot": "tcp://h:1", "updates": "tcp://h:2", "collector": "tcp://h:3"}},
    {"name": "p2", "pid": 13, "state": "full", "clients": 300, "max_clients": 300,
     "kvsimple": {"snapshot": "tcp://h:4", "updates": "tcp://h:5", "collector": "tcp://h:6"}}]})";

TEST(Topology, NamesProcessesAndReadyProxies) {
  const auto topology = parse_topology(document);
  ASSERT_TRUE(topology.ok()) << topology.error();
  EXPECT_EQ(topology->processes.size(), 4u);
  EXPECT_FALSE(topology->ready());

  const auto target = cluster_target(*topology, Dialect::kvsimple);
  ASSERT_TRUE(target.ok()) << target.error();
  ASSERT_EQ(target->triples.size(), 1u);
  EXPECT_EQ(target->triples[0].updates, "tcp://h:2");
  EXPECT_EQ(target->processes[2].http, "h:80");
  EXPECT_EQ(target->name, "cluster");
}

TEST(Topology, NamesProxiesOfTheNativeProtocol) {
  const auto target = cluster_target(*parse_topology(document), native);
  ASSERT_TRUE(target.ok()) << target.error();
  ASSERT_EQ(target->natives.size(), 1u);
  EXPECT_EQ(target->natives[0].name, "p1");
  EXPECT_EQ(target->natives[0].endpoint, "tcp://h:7");
  EXPECT_EQ(target->name, "native");
}

TEST(Topology, ReportsWhyNoProxyFits) {
  const auto target = cluster_target(*parse_topology(document), Dialect::chp);
  ASSERT_FALSE(target.ok());
  EXPECT_THAT(target.error(), HasSubstr("p1=ready(no listener for it)"));
}

TEST(Topology, RefusesInvalidTopologies) {
  EXPECT_FALSE(parse_topology("").ok());
  EXPECT_FALSE(parse_topology("[]").ok());
  EXPECT_FALSE(parse_topology("{}").ok());
  EXPECT_FALSE(parse_topology(R"({"shards": 1, "proxies": 2})").ok());
  EXPECT_FALSE(parse_topology(R"({"shards": [], "proxies": [{"pid": 4}]})").ok());
}

TEST(Topology, GivenEndpointsAreTriplesOfPorts) {
  const auto target = given_target({"tcp://h:5556", "tcp://h:5656"}, Dialect::kvsimple);
  ASSERT_EQ(target.triples.size(), 2u);
  EXPECT_EQ(target.triples[1].snapshot, "tcp://h:5656");
  EXPECT_EQ(target.triples[1].updates, "tcp://h:5657");
  EXPECT_EQ(target.triples[1].collector, "tcp://h:5658");
}

TEST(Topology, GivenNativeEndpointsAreUsedUnchanged) {
  const auto target = given_target({"tcp://h:5552"}, native);
  ASSERT_EQ(target.natives.size(), 1u);
  EXPECT_EQ(target.natives[0].endpoint, "tcp://h:5552");
}

TEST(Probe, SumsSeriesOfACounter) {
  const std::string metrics =
      "# TYPE gets_total counter\n"
      "gets_total{kind=\"a\",p=\"x\"} 3\n"
      "gets_total{kind=\"b\"} 4\n"
      "gets_total_more{kind=\"a\"} 50\n"
      "plain_total 7\n";
  EXPECT_EQ(sum_of(metrics, "gets_total", ""), 7);
  EXPECT_EQ(sum_of(metrics, "gets_total", "kind=\"a\""), 3);
  EXPECT_EQ(sum_of(metrics, "plain_total", ""), 7);
  EXPECT_EQ(sum_of(metrics, "none", ""), 0);
}

TEST(Probe, ReadsCpuTicksBehindAnyName) {
  EXPECT_EQ(parse_cpu_ticks("42 (a) b) S 1 2 3 4 5 6 7 8 9 10 700 80 0 0 20"), 780);
  EXPECT_EQ(parse_cpu_ticks("42 (cut) S 1 2"), -1);
  EXPECT_EQ(parse_cpu_ticks(""), -1);
}

TEST(Probe, ReportsProcessesItCannotSeeAsUnknown) {
  ClusterProbe probe({{.role = "proxy", .name = "p1", .pid = 1}, {.role = "shard"}}, {});
  probe.begin();
  probe.end();
  for (const auto& process : probe.processes()) {
    EXPECT_EQ(process.cpu_percent, unknown);
    EXPECT_FALSE(process.descriptors_known());
  }
}

TEST(Descriptors, RefusalNamesBothNumbers) {
  EXPECT_TRUE(check_descriptors({.workers = 2}, 1000, 4096).ok());
  const auto refused = check_descriptors({.workers = 2}, 1000, 1024);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error(), HasSubstr("3064"));
  EXPECT_THAT(refused.error(), HasSubstr("1024"));
}

TEST(Descriptors, NativeClientsHaveOneConnectionAndNoLibzmqSocket) {
  EXPECT_TRUE(check_descriptors({.dialect = native, .workers = 2}, 1000, 564).ok());
  EXPECT_FALSE(check_descriptors({.dialect = native, .workers = 2}, 1000, 563).ok());
  EXPECT_TRUE(check_descriptors({.dialect = native, .workers = 1}, 100'000, 200'000).ok());
  EXPECT_FALSE(check_descriptors({.workers = 1}, 100'000, 1'000'000).ok());
}

}  // namespace
}  // namespace canopy::loadtest
