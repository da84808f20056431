// What the broker remembers of a proxy whose lease expired.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "broker/topology.h"

namespace canopy::broker {
namespace {

using nlohmann::json;
using wire::ProxyMember;

struct Lost : ::testing::Test {
  void announce(const std::string& name, const std::string& http) {
    ASSERT_TRUE(
        members.apply({"proxies/" + name,
                       to_json(ProxyMember{.name = name, .http = http, .state = "ready"}), 1}));
  }
  json targets() const { return json::parse(targets_json(cluster, members, {.http = "h:1"})); }

  config::Cluster cluster;
  Members members;
};

TEST_F(Lost, ALostProxyStaysATargetUntilForgotten) {
  announce("proxy-a", "10.0.0.1:8560");
  ASSERT_TRUE(members.apply({"proxies/proxy-a", std::nullopt, 2}));
  EXPECT_EQ(targets().size(), 1U) << "the broker alone";
  ASSERT_TRUE(members.lose("proxy-a"));
  ASSERT_EQ(targets().size(), 2U);
  EXPECT_EQ(targets()[1]["targets"][0], "10.0.0.1:8560");
  EXPECT_EQ(state_of(&members.proxies.at("proxy-a")), "down");
  announce("proxy-a", "10.0.0.2:8560");
  EXPECT_EQ(targets()[1]["targets"][0], "10.0.0.2:8560");
  members.forget("proxy-a");
  EXPECT_EQ(targets().size(), 1U);
}

TEST_F(Lost, OnlyAnAnnouncedProxyIsRemembered) {
  EXPECT_FALSE(members.lose("proxy-a"));
  announce("proxy-a", "10.0.0.1:8560");
  EXPECT_FALSE(members.lose("proxy-a")) << "it is there";
  ASSERT_TRUE(members.apply({"proxies/proxy-a", std::nullopt, 2}));
  EXPECT_FALSE(members.lose("results"));
  EXPECT_TRUE(members.lose("proxy-a"));
  EXPECT_FALSE(members.lose("proxy-a"));
}

}  // namespace
}  // namespace canopy::broker
