#include "broker/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "broker/page.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/revision.h"

namespace canopy::broker {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using wire::ProxyMember;
using wire::ShardMember;
using wire::Vitals;

class StatusTest : public ::testing::Test {
 protected:
  StatusTest() {
    cluster_.partitions = {{.subtree = "", .on = {"rest"}}};
    cluster_.shards = {{.name = "rest"}};
    cluster_.proxies = {{.name = "p1"}, {.name = "p2"}};
    moment_.now = base::TimePoint(std::chrono::hours(1));
    moment_.started = moment_.now - milliseconds(2500);
  }

  void announce(const ShardMember& shard) {
    EXPECT_TRUE(members_.apply({"shards/" + shard.name, to_json(shard), 1}));
  }
  void announce(const ProxyMember& proxy) {
    EXPECT_TRUE(members_.apply({"proxies/" + proxy.name, to_json(proxy), 1}));
  }
  void hear(const Vitals& vitals) {
    EXPECT_TRUE(vitals_.apply({"vitals/" + vitals.name, to_json(vitals), 1},
                              moment_.now - milliseconds(300)));
  }
  json status() { return json::parse(status_json(cluster_, members_, self_, vitals_, moment_)); }

  config::Cluster cluster_;
  Members members_;
  Self self_{.pid = 10, .http = "h:8550", .directory = "tcp://h:5550", .host = "h"};
  VitalsBook vitals_;
  Moment moment_{.fds = 12, .max_fds = std::numeric_limits<std::uint64_t>::max()};
};

TEST_F(StatusTest, UnknownFieldsAreNull) {
  const json document = status();
  EXPECT_EQ(document["broker"]["state"], "ready");
  EXPECT_EQ(document["broker"]["uptime_ms"], 2500);
  EXPECT_EQ(document["broker"]["fds"], 12);
  EXPECT_TRUE(document["broker"]["max_fds"].is_null()) << "no limit is no number";
  const json& proxy = document["proxies"][0];
  EXPECT_EQ(proxy["state"], "down");
  for (const char* field : {"fds", "uptime_ms", "updates_per_s", "silent_ms", "deliveries_per_s",
                            "drops_total", "flush_interval_ms"}) {
    ASSERT_TRUE(proxy.contains(field)) << field;
    EXPECT_TRUE(proxy[field].is_null()) << field;
  }
  EXPECT_EQ(proxy["mirrors"], json::object());
  EXPECT_TRUE(document["shards"][0]["partitions"][0]["revision"].is_null());
  EXPECT_TRUE(document["partitions"][0]["revision"].is_null());
}

TEST_F(StatusTest, ShowsTheVitalsOfProcesses) {
  const std::uint64_t revision = keyspace::Revision(469'150, 77).value();
  announce(ShardMember{.name = "rest", .updates = "tcp://h:2", .partitions = {{"", "serving", 1}}});
  announce(ProxyMember{.name = "p1", .state = "ready", .clients = 7, .max_clients = 300});
  const cluster::PartitionRecord record{
      .epoch = 1, .lineage = 1, .leader = {"rest", "x"}, .in_sync = {{"rest", "x"}}};
  EXPECT_TRUE(members_.apply({"partitions/*", coordination::to_json(record), 1}));
  hear(
      {.name = "rest", .clients = 2, .revisions = {{"*", revision}}, .uptime_ms = 1, .updates = 9});
  hear({.name = "p1", .fds = 61, .max_fds = 1024, .uptime_ms = 1000, .deliveries = 100});
  hear({.name = "p1",
        .fds = 61,
        .max_fds = 1024,
        .drops = 4,
        .revisions = {{"*", revision}},
        .uptime_ms = 2000,
        .deliveries = 150,
        .delivered_bytes = 1000,
        .flush_interval_us = 1250});
  const json document = status();
  const json& shard = document["shards"][0];
  EXPECT_EQ(shard["updates"], "tcp://h:2") << "the topology's fields stay";
  EXPECT_EQ(shard["updates_total"], 9);
  EXPECT_EQ(shard["proxies"], 2);
  EXPECT_EQ(shard["partitions"][0]["revision"], json::parse(R"({"epoch":469150,"counter":77})"));
  EXPECT_EQ(document["partitions"][0]["leader"], "rest");
  EXPECT_EQ(document["partitions"][0]["revision"], shard["partitions"][0]["revision"]);
  const json& proxy = document["proxies"][0];
  EXPECT_EQ(proxy["fds"], 61);
  EXPECT_EQ(proxy["clients"], 7);
  EXPECT_EQ(proxy["deliveries_per_s"], 50);
  EXPECT_EQ(proxy["bytes_per_s"], 1000);
  EXPECT_EQ(proxy["drops_total"], 4);
  EXPECT_EQ(proxy["flush_interval_ms"], 1.25);
  EXPECT_EQ(proxy["silent_ms"], 300);
  EXPECT_EQ(proxy["mirrors"]["*"]["counter"], 77);
}

TEST_F(StatusTest, DistinguishesDrainedFromDown) {
  members_.drained = {"p1", "rest"};
  moment_.stopping = true;
  const json document = status();
  EXPECT_EQ(document["proxies"][0]["state"], "drained");
  EXPECT_EQ(document["proxies"][1]["state"], "down");
  EXPECT_EQ(document["shards"][0]["state"], "down");
  EXPECT_EQ(document["broker"]["state"], "stopping");
}

TEST_F(StatusTest, InvalidBytesStayJson) {
  announce(ProxyMember{.name = "p1", .state = "\xff\xfe<b>"});
  EXPECT_TRUE(json::accept(status_json(cluster_, members_, self_, vitals_, moment_)));
}

TEST(Page, ItsPolicyAdmitsNothingButItself) {
  const std::string policy(page_policy);
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("script-src 'sha256-"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  const std::string page(page_html);
  for (const char* never : {"innerHTML", "http://127", "https://", " style=\"", " onclick="}) {
    EXPECT_THAT(page, Not(HasSubstr(never)));
  }
}

}  // namespace
}  // namespace canopy::broker
