#include "core/config/cluster.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/host.h"
#include "core/config/reader.h"

namespace canopy::config {
namespace {

using namespace std::chrono_literals;

const std::string root_shard = R"(
shards:
  - name: rest
    partitions: [{subtree: "*"}]
)";

std::filesystem::path deploy_folder() {
  return std::filesystem::path(CANOPY_SOURCE_DIR) / "deploy";
}

Cluster parse_good(const std::string& text) {
  auto cluster = parse_cluster(text, "c.yaml");
  EXPECT_TRUE(cluster.ok()) << cluster.error();
  return cluster ? *cluster : Cluster{};
}

const char* const every_section = R"(
state_dir: /var/lib/canopy
log_level: debug
log_format: json
coordination: {lease_ms: 100, replica_lag_ms: 101, prefer_after_ms: 0}
broker: {listen: "ipc:///run/canopy", http: "[::1]:0", supervise: false, drain_ms: 0}
partitions:
  - {subtree: /eu/, on: [other, results], replicas: 2, min_in_sync: 2, retain: false}
shards:
  - name: results
    http: 127.0.0.1:8551
    nofile: 0
    requests: tcp://127.0.0.1:*
    updates: ipc://updates
    advertise: shard.example.com
    updates_queue_bytes: 65536
    updates_send_buffer: 4096
    partitions:
      - {subtree: /results/, durability: disk, sync: interval, sync_interval_ms: 7, retain: false,
         log_updates: 5, log_bytes: 6, max_state_bytes: 1048576}
      - subtree: "*"
  - name: other
proxies:
  - {name: p1, max_clients: 7, http: 127.0.0.1:8561, kvsimple: tcp://127.0.0.1:5556, chp: "tcp://*:5576",
     max_linger_ms: 0, client_queue_bytes: 4194304, egress_bytes: 4194305, slow_clients: disconnect,
     client_send_buffer: 4096, proxy_protocol: true, link_queue_bytes: 65537, link_receive_buffer: 0,
     upstream_queue_bytes: 65538, max_snapshots: 5, mirror_keep_ms: 6}
)";

TEST(Cluster, ReadsEverySection) {
  const Cluster cluster = parse_good(every_section);
  EXPECT_EQ(cluster.file, "c.yaml");
  EXPECT_EQ(cluster.state_dir, "/var/lib/canopy");
  EXPECT_EQ(cluster.log_level, "debug");
  EXPECT_EQ(cluster.log_format, "json");
  EXPECT_EQ(
      cluster.broker,
      (Broker{.listen = "ipc:///run/canopy", .http = "[::1]:0", .supervise = false, .drain = 0ms}));
  EXPECT_EQ(cluster.coordination,
            (Coordination{.lease = 100ms, .replica_lag = 101ms, .prefer_after = 0ms}));
  const Partition eu{
      .subtree = "/eu/", .on = {"other", "results"}, .min_in_sync = 2, .retain = false};
  const Partition results{.subtree = "/results/",
                          .on = {"results"},
                          .durability = Durability::disk,
                          .sync = Sync::interval,
                          .sync_interval = 7ms,
                          .retain = false,
                          .log_updates = 5,
                          .log_bytes = 6,
                          .max_state_bytes = 1048576};
  const Partition root{.on = {"results"}};
  EXPECT_EQ(cluster.partitions, (std::vector{eu, results, root}));
  ASSERT_EQ(cluster.shards.size(), 2u);
  EXPECT_EQ(cluster.shards[1], Shard{.name = "other"});
  EXPECT_EQ(cluster.shards[0], (Shard{.name = "results",
                                      .requests = "tcp://127.0.0.1:*",
                                      .updates = "ipc://updates",
                                      .advertise = "shard.example.com",
                                      .http = "127.0.0.1:8551",
                                      .nofile = 0,
                                      .updates_queue_bytes = 65536,
                                      .updates_send_buffer = 4096}));
  ASSERT_EQ(cluster.proxies.size(), 1u);
  EXPECT_EQ(cluster.proxies[0], (Proxy{.name = "p1",
                                       .max_clients = 7,
                                       .kvsimple = "tcp://127.0.0.1:5556",
                                       .kvmsg = {},
                                       .chp = "tcp://*:5576",
                                       .advertise = "",
                                       .http = "127.0.0.1:8561",
                                       .nofile = 1024,
                                       .max_linger = 0ms,
                                       .client_queue_bytes = 4194304,
                                       .egress_bytes = 4194305,
                                       .slow_clients = SlowClients::disconnect,
                                       .client_send_buffer = 4096,
                                       .proxy_protocol = true,
                                       .link_receive_buffer = 0,
                                       .link_queue_bytes = 65537,
                                       .upstream_queue_bytes = 65538,
                                       .max_snapshots = 5,
                                       .mirror_keep = 6ms}));
  EXPECT_EQ(cluster.find_shard("results"), &cluster.shards[0]);
  EXPECT_EQ(cluster.find_shard("p1"), nullptr);
  EXPECT_EQ(cluster.find_proxy("p1"), &cluster.proxies[0]);
  EXPECT_EQ(cluster.find_partition("/eu/"), cluster.partitions.data());
  EXPECT_EQ(cluster.find_partition("/none/"), nullptr);
}

TEST(Cluster, TellsWhatAShardKeeps) {
  const Cluster cluster = parse_good(R"(
partitions:
  - {subtree: "*", on: [a, b]}
  - {subtree: /b/, on: [b]}
shards: [{name: a}, {name: b}]
)");
  const Partition* const root = cluster.partitions.data();
  const Partition* const own = root + 1;
  EXPECT_EQ(cluster.partitions_of("a"), std::vector{root});
  EXPECT_EQ(cluster.partitions_of("b"), (std::vector{root, own}));
}

TEST(Cluster, WhatIsLeftOutKeepsItsDefault) {
  const Cluster cluster = parse_good(root_shard);
  EXPECT_EQ(cluster.broker, Broker{});
  EXPECT_EQ(cluster.coordination, Coordination{});
  EXPECT_EQ(cluster.shards.at(0), Shard{.name = "rest"});
  EXPECT_EQ(cluster.partitions, std::vector{Partition{.on = {"rest"}}});
  EXPECT_TRUE(cluster.proxies.empty());
  EXPECT_EQ(parse_good("broker:\nproxies:\n" + root_shard).broker, Broker{});
}

TEST(Cluster, NestedPartitionsAreNoOverlap) {
  const Cluster cluster = parse_good(R"(
shards:
  - {name: a, partitions: [{subtree: /results/}, {subtree: /results/eu/}]}
  - {name: b, partitions: [{subtree: "*"}, {subtree: bare/}]}
)");
  ASSERT_EQ(cluster.partitions.size(), 4u);
  EXPECT_EQ(cluster.partitions[2].subtree, "");
}

TEST(Cluster, TheSamePortOfOtherHostsAndFreePortsDoNotClash) {
  parse_good(root_shard + R"(
proxies:
  - {name: p1, kvsimple: tcp://127.0.0.1:5556, kvmsg: tcp://127.0.0.2:5556, http: 127.0.0.1:0}
  - {name: p2, kvsimple: tcp://127.0.0.1:5559, kvmsg: tcp://127.0.0.2:5559, http: 127.0.0.1:0}
)");
}

TEST(Cluster, TheFamiliesHavePortsOfTheirOwn) {
  parse_good(root_shard + R"(
proxies:
  - {name: p1, kvsimple: tcp://127.0.0.1:5556, kvmsg: "tcp://[::1]:5556", http: 127.0.0.1:0}
  - {name: p2, kvsimple: tcp://0.0.0.0:5559, kvmsg: "tcp://[::1]:5559", http: 127.0.0.1:0}
)");
}

TEST(Cluster, SectionsTakeOverWhatOthersSay) {
  const Cluster cluster = parse_good(R"(
x-large: &large {nofile: 4096, link_queue_bytes: 70000}
shards:
  - &first
    name: a
    updates_queue_bytes: 70000
    partitions: [&part {subtree: "*", durability: disk}]
  - <<: *first
    name: b
    partitions:
      - {<<: *part, subtree: /b/, sync: interval}
proxies:
  - &p {name: p1, max_clients: 10, http: 127.0.0.1:0}
  - {name: p2, <<: [*p, *large], max_clients: 20}
)");
  EXPECT_EQ(cluster.shards.at(1).name, "b");
  EXPECT_EQ(cluster.shards.at(1).updates_queue_bytes, 70'000u);
  EXPECT_EQ(
      cluster.partitions.at(1),
      (Partition{
          .subtree = "/b/", .on = {"b"}, .durability = Durability::disk, .sync = Sync::interval}));
  EXPECT_EQ(cluster.proxies.at(1).max_clients, 20u);
  EXPECT_EQ(cluster.proxies.at(1).nofile, 4096u);
  EXPECT_EQ(cluster.proxies.at(0).nofile, 1024u);
}

TEST(Cluster, ReadsAsManyPartitionsAsAClusterCanHave) {
  std::string text = "shards:\n";
  for (int shard = 0; shard < 2; ++shard) {
    text += "  - name: s" + std::to_string(shard) + "\n    partitions:\n";
    if (shard == 0) text += "      - subtree: \"*\"\n";
    for (int i = 0; i < 2047; ++i) {
      text += "      - subtree: /" + std::to_string(shard) + "/" + std::to_string(i) + "/\n";
    }
  }
  EXPECT_EQ(parse_good(text).partitions_of("s1").size(), 2047u);
}

TEST(Cluster, NofileCountsWhereTheBrokerSetsIt) {
  parse_good(root_shard + "proxies: [{name: p, max_clients: 100000, nofile: 0}]\n");
  parse_good(root_shard +
             "proxies: [{name: p, max_clients: 300, nofile: 1024,\n"
             "  native: tcp://127.0.0.1:1, kvsimple: tcp://127.0.0.1:11,\n"
             "  kvmsg: tcp://127.0.0.1:21, chp: tcp://127.0.0.1:31}]\n");
  parse_good("broker: {supervise: false}\n" + root_shard +
             "proxies: [{name: p, max_clients: 100000, nofile: 64}]\n");
}

// The proxy refuses that part of the file, and applies the rest.
TEST(Cluster, AFileReadAgainMayAskForMoreThanAProxyCanDo) {
  const std::string text = root_shard + "proxies: [{name: p, max_clients: 100000}]\n";
  EXPECT_FALSE(parse_cluster(text, "c.yaml").ok());
  EXPECT_TRUE(parse_cluster(text, "c.yaml", ReadTo::reload).ok());
}

TEST(Cluster, ABrokerOfEveryInterfaceIsFoundAtTheLoopback) {
  EXPECT_EQ((Broker{.listen = "tcp://0.0.0.0:5550"}).directory(), "tcp://127.0.0.1:5550");
  EXPECT_EQ((Broker{.listen = "tcp://*:5550"}).directory(), "tcp://127.0.0.1:5550");
  EXPECT_EQ((Broker{.listen = "tcp://[::]:5550"}).directory(), "tcp://[::1]:5550");
  EXPECT_EQ((Broker{.listen = "tcp://0.0.0.0:5550", .advertise = "b"}).directory(), "tcp://b:5550");
  EXPECT_EQ((Broker{.listen = "ipc:///run/b"}).directory(), "ipc:///run/b");
}

TEST(Cluster, TheExampleHoldsEverySettingWithItsDefault) {
  const std::string path = deploy_folder() / "canopy.example.yaml";
  const auto cluster = read_cluster(path);
  ASSERT_TRUE(cluster.ok()) << cluster.error();
  EXPECT_EQ(cluster->state_dir, Cluster{}.state_dir);
  EXPECT_EQ(cluster->log_level, Cluster{}.log_level);
  EXPECT_EQ(cluster->log_format, Cluster{}.log_format);
  EXPECT_EQ(cluster->coordination, Coordination{});
  EXPECT_EQ(cluster->broker, Broker{});
  EXPECT_EQ(cluster->partitions, std::vector{Partition{.on = {"rest"}}});
  EXPECT_EQ(cluster->shards.at(0), Shard{.name = "rest"});
  Proxy proxy = cluster->proxies.at(0);
  proxy.native.reset();
  proxy.kvsimple.reset();
  proxy.kvmsg.reset();
  proxy.chp.reset();
  EXPECT_EQ(proxy, Proxy{.name = "p1"});

  // The keys as written; the indentation distinguishes the sections.
  std::string written = "\n";
  std::ifstream file(path);
  std::string section;
  std::string list;
  for (std::string line; std::getline(file, line);) {
    const std::size_t start = line.find_first_not_of(" -");
    const std::size_t colon = line.find(':');
    if (start == std::string::npos || line[start] == '#' || colon == std::string::npos) continue;
    const std::string key = line.substr(start, colon - start);
    if (start == 0) section.clear();
    if (start <= 4) list.clear();
    written += section + list + key + "\n";
    if (start == 0 && line.back() == ':') section = key + ".";
    if (start == 4 && line.back() == ':') list = key + ".";
  }
  for (const std::string& key : setting_keys()) {
    EXPECT_NE(written.find("\n" + key + "\n"), std::string::npos) << key << " in" << written;
  }
}

TEST(Cluster, TheReplicatedClusterLosesNothingWithAShard) {
  const auto cluster = read_cluster(deploy_folder() / "replicated.yaml");
  ASSERT_TRUE(cluster.ok()) << cluster.error();
  EXPECT_EQ(cluster->shards.size(), 3u);
  ASSERT_EQ(cluster->partitions.size(), 2u);
  for (const Partition& partition : cluster->partitions) {
    EXPECT_EQ(partition.on.size(), 2u);
    EXPECT_EQ(partition.durability, Durability::disk);
  }
}

TEST(Cluster, NamesAFileThatCannotBeRead) {
  EXPECT_EQ(read_cluster("/no/such.yaml").error(),
            "/no/such.yaml: cannot be read: No such file or directory");
  EXPECT_EQ(read_cluster("/tmp").error(), "/tmp: cannot be read: Is a directory");
}

TEST(Endpoint, NextPort) {
  EXPECT_EQ(base::next_port("tcp://127.0.0.1:5556", 2), "tcp://127.0.0.1:5558");
  EXPECT_EQ(base::next_port("tcp://[::1]:5556", 1), "tcp://[::1]:5557");
}

TEST(Endpoint, AdvertisedReplacesTheHostAlone) {
  EXPECT_EQ(base::advertised("tcp://0.0.0.0:5556", "db.example.com"), "tcp://db.example.com:5556");
  EXPECT_EQ(base::advertised("tcp://[::]:5556", "[fd00::1]"), "tcp://[fd00::1]:5556");
  EXPECT_EQ(base::advertised("tcp://127.0.0.1:5556", ""), "tcp://127.0.0.1:5556");
  EXPECT_EQ(base::advertised("ipc:///run/x", "db.example.com"), "ipc:///run/x");
}

// Nobody can connect to 0.0.0.0.
TEST(Endpoint, EveryInterfaceIsAnnouncedAsAnAddressOfThisMachine) {
  const std::string host = base::announced_host();
  EXPECT_NE(host, "0.0.0.0");
  for (const char* any : {"0.0.0.0", "*", "[::]"}) {
    EXPECT_EQ(base::advertised("tcp://" + std::string(any) + ":5556", ""),
              "tcp://" + host + ":5556");
    EXPECT_EQ(base::advertised_http(std::string(any) + ":8551", ""), host + ":8551");
  }
}

}  // namespace
}  // namespace canopy::config
