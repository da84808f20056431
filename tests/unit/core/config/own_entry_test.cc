#include "core/config/own_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string templates = R"(broker: {supervise: false}
shards: [{name: rest, advertise: auto, partitions: [{subtree: "*"}]}]
proxies:
  - {name: p1, max_clients: 1}
  - {name: p-*, max_clients: 2}
  - {name: p-east-*, max_clients: 3, advertise: auto}
)";

Cluster read(const std::string& text) {
  auto cluster = parse_cluster(text, "c.yaml");
  EXPECT_TRUE(cluster) << cluster.error();
  return cluster ? *cluster : Cluster{};
}

// max_clients of the entry that a proxy of this name takes; 0 when there is none.
std::uint64_t fitting(const std::string& name) {
  Cluster cluster = read(templates);
  EXPECT_TRUE(complete_own_entry(cluster, name));
  const Proxy* own = cluster.find_proxy(name);
  if (own == nullptr) return 0;
  EXPECT_EQ(own->name, name);
  return own->max_clients;
}

TEST(OwnEntry, TemplatesAreNoProxies) {
  const Cluster cluster = read(templates);
  ASSERT_EQ(cluster.proxies.size(), 1U);
  EXPECT_EQ(cluster.proxies[0].name, "p1");
  EXPECT_EQ(cluster.proxy_templates.size(), 2U);
}

TEST(OwnEntry, AnExactNameBeforeTheLongestTemplate) {
  EXPECT_EQ(fitting("p1"), 1U);
  EXPECT_EQ(fitting("p-1"), 2U);
  EXPECT_EQ(fitting("p-east"), 2U);
  EXPECT_EQ(fitting("p-east-1"), 3U);
  EXPECT_EQ(fitting("p-"), 0U) << "a template's name goes on";
  EXPECT_EQ(fitting("q-1"), 0U);
  EXPECT_EQ(fitting(""), 0U);
}

TEST(OwnEntry, WhatATemplateMakesIsAName) {
  Cluster cluster = read(templates);
  EXPECT_THAT(complete_own_entry(cluster, "p-*").error(), HasSubstr("'p-*' is not 1 to 63"));
  EXPECT_THAT(complete_own_entry(cluster, "p-" + std::string(62, 'x')).error(),
              HasSubstr("is not 1 to 63"));
}

TEST(OwnEntry, OwnAddressIsFilledIn) {
  Cluster cluster = read(templates);
  if (const auto status = complete_own_entry(cluster, "rest"); !status) {
    GTEST_SKIP() << status.error();
  }
  EXPECT_THAT(cluster.shards[0].advertise, HasSubstr("."));
  EXPECT_TRUE(complete_own_entry(cluster, "p-east-1"));
  EXPECT_EQ(cluster.find_proxy("p-east-1")->advertise, cluster.shards[0].advertise);
  EXPECT_THAT(cluster.shards[0].advertise, Not(HasSubstr("127.")));
}

TEST(OwnEntry, NamesTakeTheHosts) {
  EXPECT_EQ(expand_name("p1", "box"), "p1");
  EXPECT_EQ(expand_name("proxy-%h", "Box_7.example.com"), "proxy-box-7-example-com");
  EXPECT_EQ(expand_name("%h%h", "%h"), "-h-h");
  EXPECT_EQ(expand_name("%x", "box"), "%x");
}

TEST(OwnEntry, ASupervisorKnowsWhomItStarts) {
  const auto fault = [](const std::string& text) { return parse_cluster(text, "c.yaml").error(); };
  EXPECT_THAT(fault("shards: [{name: rest, partitions: [{subtree: \"*\"}]}]\n"
                    "proxies:\n"
                    "  - name: p1\n"
                    "  - name: p-*\n"
                    "broker: {supervise: true}\n"),
              HasSubstr("c.yaml:4: proxies.name: 'p-*' stands for any number of proxies"));
  EXPECT_THAT(fault("broker: {advertise: auto}\n"),
              HasSubstr("c.yaml:1: broker.advertise: 'auto'"));
  EXPECT_THAT(fault("proxies: [{name: \"*\"}]\n"), HasSubstr("proxies.name: '' is not"));
}

TEST(OwnEntry, HttpIsAnnouncedWhereItIsReached) {
  EXPECT_EQ(base::advertised_http("0.0.0.0:8551", "10.0.0.5"), "10.0.0.5:8551");
  EXPECT_EQ(base::advertised_http("[::]:8551", "h"), "h:8551");
  EXPECT_EQ(base::advertised_http("127.0.0.1:8551", "10.0.0.5"), "127.0.0.1:8551");
}

}  // namespace
}  // namespace canopy::config
