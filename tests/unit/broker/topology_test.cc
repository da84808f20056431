#include "broker/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/coordination/partition_record.h"

namespace canopy::broker {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using wire::ProxyMember;
using wire::ShardMember;

class TopologyTest : public ::testing::Test {
 protected:
  TopologyTest() {
    cluster_.partitions = {
        {.subtree = "/results/", .on = {"results"}, .durability = config::Durability::disk},
        {.subtree = "", .on = {"rest"}}};
    cluster_.shards = {{.name = "results", .http = "127.0.0.1:8551"}, {.name = "rest"}};
    cluster_.proxies = {{.name = "p1", .max_clients = 300, .http = "0.0.0.0:8561"},
                        {.name = "p2", .max_clients = 200}};
  }

  void announce(const ShardMember& shard) {
    const auto status = members_.apply({"shards/" + shard.name, to_json(shard), 1});
    EXPECT_TRUE(status) << status.error();
  }
  void announce(const ProxyMember& proxy) {
    const auto status = members_.apply({"proxies/" + proxy.name, to_json(proxy), 1});
    EXPECT_TRUE(status) << status.error();
  }
  void announce_all() {
    announce(ShardMember{.name = "results",
                         .pid = 11,
                         .http = "127.0.0.1:8551",
                         .requests = "tcp://127.0.0.1:1",
                         .updates = "tcp://127.0.0.1:2",
                         .partitions = {{"/results/", "serving", 3}}});
    announce(
        ShardMember{.name = "rest", .pid = 12, .http = "h:1", .partitions = {{"", "serving", 1}}});
    announce(ProxyMember{.name = "p1",
                         .pid = 13,
                         .http = "0.0.0.0:8561",
                         .state = "ready",
                         .clients = 7,
                         .max_clients = 300,
                         .kvsimple = wire::Triple{"tcp://h:5556", "tcp://h:5557", "tcp://h:5558"}});
    announce(ProxyMember{.name = "p2", .pid = 14, .http = "h:2", .state = "full"});
    lead("partitions//results/", 3, {"results"});
    lead("partitions/*", 1, {"rest"});
  }
  // The first of `in_sync` leads.
  void lead(const std::string& key, std::uint32_t epoch, const std::vector<std::string>& in_sync) {
    cluster::PartitionRecord record{.epoch = epoch, .lineage = 1, .leader = {in_sync[0], "x"}};
    for (const std::string& shard : in_sync) record.in_sync.push_back({shard, "x"});
    std::ranges::sort(record.in_sync);
    const auto status = members_.apply({key, coordination::to_json(record), 1});
    EXPECT_TRUE(status) << status.error();
  }
  json topology() { return json::parse(topology_json(cluster_, members_, self_)); }
  std::map<std::string, std::string> failing() {
    auto checks = readiness(cluster_, members_);
    std::erase_if(checks, [](const auto& check) { return check.second.empty(); });
    return checks;
  }

  config::Cluster cluster_;
  Members members_;
  Self self_{.pid = 10, .http = "0.0.0.0:8550", .directory = "tcp://127.0.0.1:5550", .host = "box"};
};

TEST_F(TopologyTest, ListsConfiguredProcessesThatAreDown) {
  const json document = topology();
  EXPECT_EQ(document["broker"], json::parse(R"({"name":"broker","pid":10,"http":"0.0.0.0:8550",
                            "directory":"tcp://127.0.0.1:5550"})"));
  EXPECT_EQ(document["shards"],
            json::parse(R"([{"name":"results","state":"down","nofile":1024,"partitions":[
                              {"subtree":"/results/","durability":"disk","state":"down"}]},
                            {"name":"rest","state":"down","nofile":1024,"partitions":[
                              {"subtree":"*","durability":"memory","state":"down"}]}])"));
  EXPECT_EQ(document["proxies"],
            json::parse(R"([{"name":"p1","state":"down","max_clients":300,"nofile":1024},
                            {"name":"p2","state":"down","max_clients":200,"nofile":1024}])"));
  EXPECT_EQ(document["partitions"],
            json::parse(R"([{"subtree":"/results/","state":"down","leader":null,"epoch":null,
                             "in_sync":[],"replicas":[{"shard":"results","state":"down"}],
                             "durability":"disk"},
                            {"subtree":"*","state":"down","leader":null,"epoch":null,
                             "in_sync":[],"replicas":[{"shard":"rest","state":"down"}],
                             "durability":"memory"}])"));
}

TEST_F(TopologyTest, ShowsAnnouncedMembers) {
  announce_all();
  const json document = topology();
  EXPECT_EQ(document["shards"][0],
            json::parse(R"({"name":"results","state":"ready","pid":11,"nofile":1024,
                            "requests":"tcp://127.0.0.1:1","updates":"tcp://127.0.0.1:2",
                            "http":"127.0.0.1:8551","partitions":[{"subtree":"/results/",
                            "durability":"disk","epoch":3,"state":"serving"}]})"));
  EXPECT_EQ(document["proxies"][0],
            json::parse(R"({"name":"p1","state":"ready","pid":13,"nofile":1024,"clients":7,
                            "max_clients":300,"http":"0.0.0.0:8561","kvsimple":{
                            "snapshot":"tcp://h:5556","updates":"tcp://h:5557",
                            "collector":"tcp://h:5558"}})"));
  EXPECT_EQ(document["proxies"][1]["state"], "full");
}

TEST_F(TopologyTest, ListsMembersThatTheFileDoesNotName) {
  announce(ProxyMember{.name = "p9", .pid = 99, .http = "other:1", .state = "ready"});
  announce(ShardMember{.name = "extra", .http = "other:2", .partitions = {{"/x/", "loading", 1}}});
  const json document = topology();
  ASSERT_EQ(document["proxies"].size(), 3U);
  EXPECT_EQ(document["proxies"][2]["name"], "p9");
  EXPECT_FALSE(document["proxies"][2].contains("nofile"));
  ASSERT_EQ(document["shards"].size(), 3U);
  EXPECT_EQ(document["shards"][2]["state"], "loading");
  EXPECT_FALSE(document["shards"][2]["partitions"][0].contains("durability"));
  ASSERT_EQ(document["partitions"].size(), 3U);
  EXPECT_EQ(document["partitions"][2],
            json::parse(R"({"subtree":"/x/","state":"loading","leader":null,"epoch":null,
                            "in_sync":[],"replicas":[{"shard":"extra","state":"loading"}]})"));
}

TEST_F(TopologyTest, AMemberThatHasGoneIsDown) {
  announce_all();
  EXPECT_TRUE(members_.apply({"proxies/p1", std::nullopt, 2}));
  EXPECT_EQ(topology()["proxies"][0]["state"], "down");
}

TEST_F(TopologyTest, AMalformedMemberCountsAsAbsent) {
  announce_all();
  const auto error = [&](const char* key, const char* value) {
    return members_.apply({key, value, 2}).error();
  };
  EXPECT_EQ(error("proxies/p1", "{"), "proxies/p1: not JSON");
  EXPECT_EQ(error("shards/rest", R"({"name":"other"})"), "shards/rest: 'name' is other");
  EXPECT_EQ(error("partitions/*", "{"), "partitions/*: not a JSON object");
  EXPECT_EQ(error("partitions/no", "{"), "partitions/no: not the key of a partition");
  EXPECT_EQ(error("elsewhere", "{"), "");
  EXPECT_TRUE(topology()["partitions"][1]["epoch"].is_null());
  EXPECT_EQ(topology()["proxies"][0]["state"], "down");
  EXPECT_EQ(topology()["shards"][1]["state"], "down");
}

TEST_F(TopologyTest, TargetsAreReachableAndStayWhenDown) {
  const auto targets = [&] { return json::parse(targets_json(cluster_, members_, self_)); };
  EXPECT_EQ(targets(), json::parse(R"([
    {"targets":["box:8550"],"labels":{"role":"broker","name":"broker"}},
    {"targets":["127.0.0.1:8551"],"labels":{"role":"shard","name":"results"}},
    {"targets":["box:8561"],"labels":{"role":"proxy","name":"p1"}}])"))
      << "a free port is known only once it is announced";
  announce_all();
  cluster_.proxies[0].advertise = "edge";
  EXPECT_EQ(targets(), json::parse(R"([
    {"targets":["box:8550"],"labels":{"role":"broker","name":"broker"}},
    {"targets":["127.0.0.1:8551"],"labels":{"role":"shard","name":"results"}},
    {"targets":["h:1"],"labels":{"role":"shard","name":"rest"}},
    {"targets":["edge:8561"],"labels":{"role":"proxy","name":"p1"}},
    {"targets":["h:2"],"labels":{"role":"proxy","name":"p2"}}])"));
}

TEST_F(TopologyTest, AProcessThatIsDownIsMissedUnlessDrained) {
  using Roll = std::map<std::pair<std::string, std::string>, bool>;
  const std::pair<std::string, std::string> results{"shard", "results"}, rest{"shard", "rest"},
      p1{"proxy", "p1"}, p2{"proxy", "p2"}, p9{"proxy", "p9"};
  EXPECT_EQ(presence(cluster_, members_),
            (Roll{{p1, false}, {p2, false}, {rest, false}, {results, false}}));
  announce_all();
  announce(ProxyMember{.name = "p9", .http = "h:9", .state = "draining"});
  EXPECT_EQ(presence(cluster_, members_),
            (Roll{{p1, true}, {p2, true}, {p9, true}, {rest, true}, {results, true}}));
  for (const char* name : {"p1", "p9"}) {
    EXPECT_TRUE(members_.apply({std::string("proxies/") + name, std::nullopt, 2}));
  }
  EXPECT_TRUE(members_.lose("p9"));
  EXPECT_THAT(targets_json(cluster_, members_, self_), HasSubstr("box:8561"));
  members_.drained = {"p1", "p2"};
  EXPECT_EQ(presence(cluster_, members_),
            (Roll{{p2, true}, {p9, false}, {rest, true}, {results, true}}));
  EXPECT_THAT(targets_json(cluster_, members_, self_), ::testing::Not(HasSubstr("box:8561")));
}

TEST_F(TopologyTest, ReadinessNamesWhatIsMissing) {
  EXPECT_EQ(failing().size(), 6U) << "four processes, two partitions";
  announce_all();
  EXPECT_THAT(failing(), ::testing::IsEmpty()) << "a full proxy serves";
  announce(ShardMember{.name = "rest", .partitions = {{"", "failed: disk full", 1}}});
  announce(ProxyMember{.name = "p1", .state = "starting"});
  EXPECT_THAT(failing(), ::testing::ElementsAre(
                             ::testing::Pair("partition/*", "not served"),
                             ::testing::Pair("proxy/p1", "starting"),
                             ::testing::Pair("shard/rest", "partition * failed: disk full")));
  EXPECT_EQ(topology()["shards"][1]["state"], "failed");
}

TEST_F(TopologyTest, APartitionIsReadyWhenItIsServedAndInSyncOnAllItsReplicas) {
  cluster_.partitions[1].on = {"rest", "results"};
  announce_all();
  const auto follow = [&](const char* state) {
    announce(ShardMember{.name = "results",
                         .partitions = {{"/results/", "serving", 3}, {"", state, 1}}});
  };
  follow("loading");
  EXPECT_THAT(failing(),
              ::testing::ElementsAre(::testing::Pair("partition/*", "in sync on 1 of 2 replicas"),
                                     ::testing::Pair("shard/results", "partition * loading")));
  lead("partitions/*", 1, {"rest", "results"});
  follow("following rest");
  EXPECT_THAT(failing(), ::testing::IsEmpty());
  EXPECT_EQ(topology()["partitions"][1],
            json::parse(R"({"subtree":"*","state":"serving","leader":"rest","epoch":1,
                            "in_sync":["rest","results"],"durability":"memory","replicas":[
                              {"shard":"results","state":"following rest"},
                              {"shard":"rest","state":"serving"}]})"));
  EXPECT_TRUE(members_.apply({"shards/rest", std::nullopt, 2}));
  EXPECT_THAT(failing(), ::testing::ElementsAre(::testing::Pair("partition/*", "not served"),
                                                ::testing::Pair("shard/rest", "down")));
  EXPECT_EQ(topology()["partitions"][1]["leader"], nullptr);
}

TEST_F(TopologyTest, ADrainedProxyIsNoFailure) {
  announce_all();
  members_.proxies.erase("p1");
  EXPECT_THAT(failing(), ::testing::ElementsAre(::testing::Pair("proxy/p1", "down")));
  members_.drained = {"p1"};
  EXPECT_THAT(failing(), ::testing::IsEmpty());
  EXPECT_EQ(topology()["proxies"][0]["state"], "drained");
  const std::pair<std::string, std::string> drained{"proxy", "drained"};
  EXPECT_EQ(count_states(cluster_, members_)[drained], 1);
  announce(ProxyMember{.name = "p1", .state = "ready"});
  EXPECT_EQ(topology()["proxies"][0]["state"], "ready") << "it was started by hand";
}

TEST_F(TopologyTest, AFullPartitionMakesItsShardFull) {
  announce_all();
  announce(ShardMember{.name = "rest", .partitions = {{"", "full: no room", 1}}});
  EXPECT_EQ(topology()["shards"][1]["state"], "full");
  EXPECT_THAT(failing(),
              ::testing::ElementsAre(::testing::Pair("shard/rest", "partition * full: no room")));
}

TEST_F(TopologyTest, CountsMembersByState) {
  announce(ProxyMember{.name = "p1", .state = "ready"});
  announce(ProxyMember{.name = "p9", .state = "ready"});
  const auto counts = count_states(cluster_, members_);
  EXPECT_EQ(counts.at({"proxy", "ready"}), 2);
  EXPECT_EQ(counts.at({"proxy", "down"}), 1);
  EXPECT_EQ(counts.at({"shard", "down"}), 2);
}

TEST_F(TopologyTest, InvalidBytesStayValidJson) {
  const std::string odd = "p\xff";
  EXPECT_TRUE(members_.apply({"proxies/ok", to_json(ProxyMember{.name = "ok", .state = ""}), 1}));
  members_.proxies.emplace(odd, ProxyMember{.name = odd, .state = "\xfe"});
  EXPECT_TRUE(json::accept(topology_json(cluster_, members_, self_)));
  EXPECT_TRUE(json::accept(targets_json(cluster_, members_, self_)));
}

TEST_F(TopologyTest, TheReadyTextNamesTheAddresses) {
  announce_all();
  const std::string text = ready_text(cluster_, members_, self_);
  EXPECT_THAT(text, HasSubstr("p1     300      -       tcp://h:5556-5558"));
  EXPECT_THAT(text, HasSubstr("ask the broker at tcp://127.0.0.1:5550"));
  EXPECT_THAT(text, HasSubstr("results  /results/ (disk)"));
  EXPECT_THAT(text, HasSubstr("rest     * (memory)"));
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:8550/ "));
  EXPECT_THAT(text, ::testing::Not(HasSubstr(" \n")));
}

}  // namespace
}  // namespace canopy::broker
