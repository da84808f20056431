// A whole broker on free ports, with coordinators in place of the cluster's processes.
#include "broker/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/coordination/local.h"
#include "core/coordination/partition_record.h"

namespace canopy::broker {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using wire::ProxyMember;
using wire::ShardMember;

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    config::Cluster& cluster = start_.cluster;
    cluster.state_dir = directory_;
    cluster.broker.listen = "tcp://127.0.0.1:*";
    cluster.broker.http = "127.0.0.1:0";
    cluster.broker.supervise = false;
    cluster.coordination.lease = milliseconds(500);
    cluster.partitions = {{.subtree = "", .on = {"rest"}}};
    cluster.shards = {{.name = "rest"}};
    cluster.proxies = {{.name = "p1"}};
    auto node =
        Node::start(start_, "/nowhere", loop_, [this](const auto& text) { printed_ += text; });
    EXPECT_TRUE(node) << node.error();
    node_ = std::move(*node);
  }

  ~NodeTest() override {
    node_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<coordination::Coordinator> process(const std::string& name) {
    return coordination::make_local_coordinator(loop_, node_->self().directory, name);
  }
  template <typename Done>
  bool until(Done done, milliseconds timeout = seconds(10)) {
    const auto give_up = loop_.now() + timeout;
    bool is_done = false;
    const auto poll = loop_.every(milliseconds(20), [&] {
      is_done = done();
      if (is_done || loop_.now() >= give_up) loop_.stop();
    });
    loop_.run();
    loop_.cancel(poll);
    return is_done;
  }

  static std::string root_record() {
    return coordination::to_json(cluster::PartitionRecord{
        .epoch = 1, .lineage = 1, .leader = {"rest", "x"}, .in_sync = {{"rest", "x"}}});
  }

  // Header and body of GET `path`.
  std::string get(const std::string& path) {
    const std::string& http = node_->self().http;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(http.substr(http.find(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
      (void)send(fd, request.data(), request.size(), 0);
      char buffer[4096];
      for (ssize_t count; (count = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        answer.append(buffer, static_cast<std::size_t>(count));
      }
    }
    close(fd);
    return answer;
  }
  json get_json(const std::string& path) {
    const std::string answer = get(path);
    return json::parse(answer.substr(answer.find("\r\n\r\n") + 4), nullptr, false);
  }

  const std::string directory_ = testing::TempDir() + "canopy-node-" + std::to_string(getpid());
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  config::Start start_{.cluster = {.file = "/nowhere/cluster.yaml"}, .name = "broker"};
  std::string printed_;
  std::unique_ptr<Node> node_;
};

TEST_F(NodeTest, ShowsMembersAndLeaders) {
  EXPECT_THAT(get("/readyz"), HasSubstr("503"));
  EXPECT_EQ(get_json("/api/v1/topology")["proxies"][0]["state"], "down");

  auto shard = process("rest");
  auto proxy = process("p1");
  shard->announce(
      "shards/rest",
      to_json(ShardMember{.name = "rest", .pid = 1, .partitions = {{"", "serving", 1}}}));
  shard->compare_and_set("partitions/*", root_record(), 0, [](auto) {});
  proxy->announce("proxies/p1",
                  to_json(ProxyMember{.name = "p1", .http = "h:1", .state = "ready"}));
  EXPECT_TRUE(until([&] { return !printed_.empty(); }));
  EXPECT_THAT(printed_, HasSubstr("Canopy is up"));
  EXPECT_THAT(get("/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(get("/livez"), HasSubstr("200 OK"));
  EXPECT_EQ(get_json("/api/v1/topology")["proxies"][0]["state"], "ready");
  EXPECT_THAT(get("/api/v1/sd"), HasSubstr("Content-Type: application/json"));
  EXPECT_EQ(get_json("/api/v1/sd").size(), 2U);
  std::string metrics = get("/metrics");
  EXPECT_THAT(metrics, HasSubstr(R"(canopy_partition_leader{partition="*",shard="rest"} 1)"));
  EXPECT_THAT(metrics, HasSubstr(R"(canopy_members{role="proxy",state="ready"} 1)"));
  EXPECT_THAT(metrics, HasSubstr("canopy_lease_expirations_total 0"));

  shard->announce("shards/rest", "no member");
  EXPECT_TRUE(until([&] {
    return get("/metrics").find(R"(canopy_rejected_total{reason="member"} 1)") != std::string::npos;
  }));
  shard.reset();
  EXPECT_TRUE(until([&] {
    return get("/metrics").find("canopy_lease_expirations_total 1") != std::string::npos;
  }));
  metrics = get("/metrics");
  EXPECT_THAT(metrics, HasSubstr(R"(canopy_partition_leader{partition="*",shard="rest"} 0)"));
  EXPECT_THAT(get("/readyz"), HasSubstr("shard/rest"));
}

TEST_F(NodeTest, KeepsPartitionRecordsOverARestart) {
  auto shard = process("rest");
  bool swapped = false;
  shard->compare_and_set("partitions/*", root_record(), 0, [&](bool taken) { swapped = taken; });
  EXPECT_TRUE(until([&] { return swapped; }));
  node_.reset();
  auto node = Node::start(start_, "/nowhere", loop_, [](const auto&) {});
  ASSERT_TRUE(node) << node.error();
  node_ = std::move(*node);
  EXPECT_EQ(get_json("/api/v1/topology")["partitions"][0]["in_sync"], json({"rest"}));
}

TEST_F(NodeTest, PassesOnTheClientsOfAProxy) {
  metrics::Registry registry("proxy", "p1");
  const auto http = metrics::HttpServer::start("127.0.0.1:0", registry);
  ASSERT_TRUE(http.ok());
  auto proxy = process("p1");
  const auto clients = [&] { return get("/api/v1/clients/p1"); };
  EXPECT_THAT(clients(), HasSubstr("404")) << "it is not there";
  proxy->announce("proxies/p1",
                  to_json(ProxyMember{.name = "p1", .http = (*http)->address(), .state = "ready"}));
  (*http)->publish("/api/v1/clients", "[1]");
  EXPECT_TRUE(until([&] { return clients().ends_with("\r\n\r\n[1]"); }));
  EXPECT_THAT(clients(), HasSubstr("200 OK"));
  auto other = process("p2");
  other->announce("proxies/p2", to_json(ProxyMember{.name = "p2", .http = "nowhere"}));
  EXPECT_TRUE(until([&] { return get("/api/v1/clients/p2").find("503") != std::string::npos; }));
}

TEST_F(NodeTest, AnEndedSessionIsNoExpiration) {
  auto proxy = process("p1");
  proxy->announce("proxies/p1", to_json(ProxyMember{.name = "p1", .state = "ready"}));
  const auto state = [&] { return get_json("/api/v1/topology")["proxies"][0]["state"]; };
  EXPECT_TRUE(until([&] { return state() == "ready"; }));
  proxy->resign();
  EXPECT_TRUE(until([&] { return state() == "down"; }));
  proxy.reset();
  EXPECT_TRUE(
      until([&] { return get("/metrics").find("canopy_sessions 0") != std::string::npos; }));
  EXPECT_THAT(get("/metrics"), HasSubstr("canopy_lease_expirations_total 0"));
}

TEST_F(NodeTest, ReloadsAndStopsOnSignals) {
  node_->on_signal(SIGHUP);  // the file does not exist: an error line, nothing more
  node_->on_signal(SIGTERM);
  EXPECT_THAT(get("/readyz"), HasSubstr("stopping"));
}

TEST_F(NodeTest, ASecondBrokerOnTheSameAddressIsRefused) {
  config::Start second = start_;
  second.cluster.broker.listen = node_->self().directory;
  second.cluster.state_dir = directory_ + "/second";
  const auto node = Node::start(second, "/nowhere", loop_, [](const auto&) {});
  ASSERT_FALSE(node);
  EXPECT_THAT(node.error(), HasSubstr("is another broker running?"));
}

}  // namespace
}  // namespace canopy::broker
