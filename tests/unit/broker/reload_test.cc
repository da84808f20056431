#include "broker/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

TEST(ReloadTest, NamesWhatIsAddedChangedAndRemoved) {
  config::Cluster running;
  running.shards = {{.name = "rest"}, {.name = "results"}};
  running.proxies = {{.name = "p1"}, {.name = "p2"}};
  EXPECT_THAT(differences(running, running), ::testing::IsEmpty());
  config::Cluster wanted = running;
  wanted.broker.http = "127.0.0.1:9999";
  wanted.shards.pop_back();
  wanted.proxies[0].max_clients = 7;
  wanted.proxies.push_back({.name = "p3"});
  EXPECT_THAT(differences(running, wanted),
              ::testing::ElementsAre("broker broker changed", "shard results removed",
                                     "proxy p1 changed", "proxy p3 added"));
}

}  // namespace
}  // namespace canopy::broker
