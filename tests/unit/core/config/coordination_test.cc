// The `coordination` section: the broker or etcd, and each mistake with its line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/config/cluster.h"

namespace canopy::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string secret = "pass word";

class CoordinationSection : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder / "keys");
    write("password", secret + "\r\nnot of it\n", S_IRUSR);
    write("empty", "\n" + secret, S_IRUSR);
    write("open", secret, S_IRUSR | S_IRGRP);
    const std::string pem = "# comment\n-----BEGIN CERTIFICATE-----\n";
    for (const char* name : {"ca.pem", "cert.pem"}) write(name, pem, S_IRUSR | S_IROTH);
    write("key.pem", pem, S_IRUSR);
    write("key_open.pem", pem, S_IRUSR | S_IROTH);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text, mode_t mode) const {
    const auto path = folder / "keys" / name;
    std::ofstream(path) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  base::Result<Cluster> read(const std::string& coordination) const {
    return parse_cluster("coordination:" + coordination + "\n" + shards, folder / "c.yaml");
  }
  Coordination good(const std::string& coordination) const {
    const auto cluster = read(coordination);
    EXPECT_TRUE(cluster) << cluster.error();
    return cluster ? cluster->coordination : Coordination{};
  }
  // Of etcd with these settings, the first of which is on line 4.
  std::string etcd(const std::string& settings, const std::string& scheme = "https") const {
    return "\n  etcd:\n    endpoints: [\"" + scheme + "://10.0.0.1:2379\"]\n    " + settings;
  }
  void expect_error(const std::string& coordination, int line, const std::string& key,
                    const std::string& why) const {
    const auto cluster = read(coordination);
    const std::string error = cluster ? "no error" : cluster.error();
    EXPECT_THAT(error, StartsWith((folder / "c.yaml").string() + ":" + std::to_string(line) +
                                  ": coordination." + key + ": "));
    EXPECT_THAT(error, HasSubstr(why));
    EXPECT_THAT(error, Not(HasSubstr(secret)));
  }

  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("canopy-coordination-" + std::to_string(getpid()));
  const std::string shards = "shards: [{name: a, partitions: [{subtree: \"*\"}]}]\n";
};

TEST_F(CoordinationSection, IsLocalUnlessAskedForOtherwise) {
  EXPECT_EQ(good(" local"), Coordination{});
  EXPECT_EQ(good(""), Coordination{});
  EXPECT_EQ(good(" {etcd: off}"), Coordination{});
  EXPECT_FALSE(good(" {lease_ms: 700}").etcd);
}

TEST_F(CoordinationSection, ReadsEtcd) {
  const Coordination coordination = good(R"(
  lease_ms: 5000
  etcd:
    endpoints: ["https://10.0.0.1:2379", "https://[fd00::1]:2379", "https://etcd.example.com:1"]
    prefix: canopy/east/test-1
    user: canopy
    password_file: keys/password
    ca_file: keys/ca.pem
    cert_file: keys/cert.pem
    key_file: keys/key.pem)");
  ASSERT_TRUE(coordination.etcd);
  EXPECT_THAT(
      coordination.etcd->endpoints,
      ElementsAre("https://10.0.0.1:2379", "https://[fd00::1]:2379", "https://etcd.example.com:1"));
  EXPECT_EQ(coordination.etcd->prefix, "canopy/east/test-1");
  EXPECT_EQ(coordination.etcd->user, "canopy");
  EXPECT_TRUE(coordination.etcd->password_file.ends_with("keys/password"));
  EXPECT_EQ(coordination.etcd->ca_file, folder / "keys/ca.pem");
  EXPECT_EQ(coordination.etcd->cert_file, folder / "keys/cert.pem");
  EXPECT_EQ(coordination.etcd->key_file, folder / "keys/key.pem");
  EXPECT_EQ(coordination.lease, milliseconds(5000));
}

TEST_F(CoordinationSection, EtcdNeedsItsEndpointsAlone) {
  const auto etcd_alone = good(" {etcd: {endpoints: [\"http://10.0.0.1:2379\"]}}").etcd;
  EXPECT_EQ(etcd_alone, (Etcd{.endpoints = {"http://10.0.0.1:2379"}, .prefix = "canopy/main"}));
}

TEST_F(CoordinationSection, MistakesOfEndpoints) {
  const auto endpoints = [](const std::string& list) {
    return " {etcd: {endpoints: " + list + "}}";
  };
  const char* const key = "etcd.endpoints";
  expect_error("\n  etcd:", 2, key, "is missing");
  expect_error(endpoints("[]"), 1, key, "needs 1 to 16");
  expect_error(endpoints("http://h:1"), 1, key, "is not a list");
  expect_error(endpoints("[[]]"), 1, key, "a list is not a text");
  for (const char* bad : {"10.0.0.1:2379", "tcp://10.0.0.1:2379", "http://", "http://h",
                          "http://h:70000", "http://h:1/v3", "http://u@h:1", "HTTP://h:1"}) {
    expect_error(endpoints("['" + std::string(bad) + "']"), 1, key, "is not http://HOST:PORT");
  }
  expect_error(endpoints("['http://h:0']"), 1, key, "needs a port");
  expect_error(endpoints("['http://0.0.0.0:1']"), 1, key, "is no address to connect to");
  std::string many;
  for (int i = 1; i <= 17; ++i) many += "'http://h:" + std::to_string(i) + "', ";
  expect_error(endpoints("[" + many + "]"), 1, key, "needs 1 to 16");
}

TEST_F(CoordinationSection, IsNoOtherWord) {
  EXPECT_THAT(read(" etcd").error(), HasSubstr("c.yaml:1: coordination: 'etcd' is not a section"));
}

TEST_F(CoordinationSection, AnEndpointIsGivenOnce) {
  expect_error("\n  etcd:\n    endpoints:\n      - http://h:1\n      - http://h:1", 5,
               "etcd.endpoints", "'http://h:1' is given twice");
}

TEST_F(CoordinationSection, MistakesOfPrefix) {
  for (const std::string bad : {"", "/canopy", "canopy/", "a//b", "Canopy", "a b", "../a"}) {
    expect_error(etcd("prefix: \"" + bad + "\""), 4, "etcd.prefix", "joined by '/'");
  }
  expect_error(etcd("prefix: " + std::string(64, 'x')), 4, "etcd.prefix", "names");
  std::string words = "a";
  while (words.size() < 255) words += "/a";
  EXPECT_EQ(good(etcd("prefix: " + words)).etcd->prefix, words);
  expect_error(etcd("prefix: " + words + "b"), 4, "etcd.prefix", "255 bytes");
}

TEST_F(CoordinationSection, MistakesOfUserAndPassword) {
  expect_error(etcd("user: canopy"), 4, "etcd.user", "needs `password_file`");
  expect_error(etcd("user: \"\""), 4, "etcd.user", "is not a name");
  expect_error(etcd("password_file: keys/password"), 4, "etcd.password_file", "needs `user`");
  const auto file = [&](const std::string& name) {
    return etcd("user: canopy\n    password_file: keys/" + name);
  };
  expect_error(file("none"), 5, "etcd.password_file", "keys/none: cannot be read: No such file");
  expect_error(file("open"), 5, "etcd.password_file", "chmod 600");
  expect_error(file("empty"), 5, "etcd.password_file", "holds no password");
  expect_error(etcd("user: canopy\n    password_file: [a]"), 5, "etcd.password_file",
               "a list is not a text");
}

TEST_F(CoordinationSection, MistakesOfTls) {
  expect_error(etcd("ca_file: keys/none"), 4, "etcd.ca_file", "cannot be read: No such file");
  expect_error(etcd("ca_file: keys"), 4, "etcd.ca_file", "cannot be read: Is a directory");
  expect_error(etcd("ca_file: keys/password"), 4, "etcd.ca_file", "is not a PEM file");
  expect_error(etcd("ca_file: {}"), 4, "etcd.ca_file", "a mapping is not a text");
  expect_error(etcd("ca_file: keys/ca.pem", "http"), 4, "etcd.ca_file",
               "is for https alone, and an endpoint is http://10.0.0.1:2379");
  expect_error(etcd("cert_file: keys/cert.pem"), 4, "etcd.cert_file", "needs `key_file`");
  expect_error(etcd("key_file: keys/key.pem"), 4, "etcd.key_file", "needs `cert_file`");
  expect_error(etcd("cert_file: keys/cert.pem\n    key_file: keys/key_open.pem"), 5,
               "etcd.key_file", "chmod 600");
  expect_error(etcd("cert_file: keys/cert.pem\n    key_file: keys/key.pem", "http"), 4,
               "etcd.cert_file", "is for https alone");
}

TEST_F(CoordinationSection, MistakesOfTimes) {
  expect_error(" {lease_ms: 99}", 1, "lease_ms", "99 is out of bounds: 100 to 600000");
  expect_error(" {replica_lag_ms: 99}", 1, "replica_lag_ms", "out of bounds: 100 to 600000");
  expect_error(" {prefer_after_ms: -1}", 1, "prefer_after_ms", "out of bounds: 0 to 3600000");
  expect_error(" {lease: 3000}", 1, "lease", "unknown key; known here: etcd, lease_ms");
}

}  // namespace
}  // namespace canopy::config
