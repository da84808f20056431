// The `security` section: keys from files and in place, grants, and each mistake with its line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/config/changes.h"
#include "core/config/cluster.h"
#include "core/config/exposure.h"
#include "core/keys/key_file.h"

namespace canopy::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const access::KeyPair server{std::string(40, 's'), std::string(40, 'S')};
const access::KeyPair dashboard{std::string(40, 'd'), std::string(40, 'D')};
const std::string other_key(40, 'o');

class SecuritySection : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder / "keys");
    ASSERT_TRUE(keys::write_key_files(folder / "keys", "cluster", server));
    ASSERT_TRUE(keys::write_key_files(folder / "keys", "dashboard", dashboard));
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // The section's lines begin at line 2.
  base::Result<Cluster> read(const std::string& section) const {
    return parse_cluster("security:\n" + section + shards, folder / "c.yaml");
  }
  std::string error_of(const std::string& section) const {
    const auto cluster = read(section);
    const std::string error = cluster ? "no error" : cluster.error();
    EXPECT_THAT(error, Not(HasSubstr(server.secret_key)));
    return error;
  }
  std::string start(int line, const std::string& key) const {
    return (folder / "c.yaml").string() + ":" + std::to_string(line) + ": security." + key + ": ";
  }

  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("canopy-security-" + std::to_string(getpid()));
  const std::string shards = "shards: [{name: a, partitions: [{subtree: \"*\"}]}]\n";
  const std::string key_line = "  server_key: keys/cluster.key_secret\n";
};

TEST_F(SecuritySection, IsAbsentUnlessAskedFor) {
  const auto absent = parse_cluster(shards, "c.yaml");
  ASSERT_TRUE(absent.ok()) << absent.error();
  EXPECT_FALSE(absent->security);
  EXPECT_EQ(absent->keys(), nullptr);
  const auto off = parse_cluster("security: off\n" + shards, "c.yaml");
  ASSERT_TRUE(off.ok()) << off.error();
  EXPECT_FALSE(off->security);
}

TEST_F(SecuritySection, ReadsKeysBesideTheFileAndGrants) {
  const auto cluster =
      read(key_line + "  clients:\n" +
           "    - {name: dashboard, public_key: keys/dashboard.key, read: "
           "[/results/, \"*\"]}\n" +
           "    - {name: ops, public_key: \"" + other_key + "\", write: [/x/], admin: true}\n");
  ASSERT_TRUE(cluster.ok()) << cluster.error();
  ASSERT_TRUE(cluster->security);
  EXPECT_EQ(cluster->security->server_key, server);
  EXPECT_EQ(*cluster->keys(), server);
  EXPECT_THAT(
      cluster->security->clients,
      ElementsAre(
          access::Client{
              .name = "dashboard", .public_key = dashboard.public_key, .read = {"/results/", ""}},
          access::Client{.name = "ops", .public_key = other_key, .write = {"/x/"}, .admin = true}));
}

TEST_F(SecuritySection, NamesMistakesByLineAndKey) {
  const std::string ours = key_line + "  clients:\n";
  const std::string client = "    - {name: x, public_key: \"" + other_key + "\"";
  EXPECT_THAT(error_of(""), HasSubstr("security.server_key: is missing"));
  EXPECT_THAT(error_of("  clients: []\n"), HasSubstr("security.server_key: is missing"));
  EXPECT_THAT(
      error_of("  server_key: keys/none\n"),
      StartsWith(start(2, "server_key") + (folder / "keys/none").string() + ": cannot be read"));
  EXPECT_THAT(error_of("  server_key: keys/cluster.key\n"),
              HasSubstr("is open to others than its owner"));
  EXPECT_THAT(error_of("  server_key: [a]\n"), StartsWith(start(2, "server_key") + "a list"));
  EXPECT_THAT(error_of(key_line + "  keys: 1\n"), StartsWith(start(3, "keys") + "unknown key"));
  EXPECT_THAT(error_of(ours + "    - {name: x}\n"),
              StartsWith(start(4, "clients.public_key") + "is missing"));
  EXPECT_THAT(error_of(ours + "    - {name: (cluster), public_key: k}\n"),
              StartsWith(start(4, "clients.name") + "'(cluster)' is not 1 to 63"));
  EXPECT_THAT(error_of(ours + "    - {name: x, public_key: keys/none.key}\n"),
              StartsWith(start(4, "clients.public_key")));
  EXPECT_THAT(error_of(ours + client + ", read: [/results]}\n"),
              StartsWith(start(4, "clients.read") + "'/results' is not a subtree"));
  EXPECT_THAT(error_of(ours + client + ", write: \"*\"}\n"),
              StartsWith(start(4, "clients.write") + "'*' is not a list"));
  EXPECT_THAT(error_of(ours + client + ", admin: 1}\n"), StartsWith(start(4, "clients.admin")));
  EXPECT_THAT(error_of(ours + client + "}\n" + client + "}\n"),
              StartsWith(start(5, "clients.name") + "the client 'x' clashes"));
  EXPECT_THAT(error_of(ours + client + "}\n    - {name: y, public_key: \"" + other_key + "\"}\n"),
              StartsWith(start(5, "clients.public_key") + "the key of the client 'y' clashes with "
                                                          "the key of the client 'x'"));
  EXPECT_THAT(error_of(ours + "    - {name: x, public_key: keys/cluster.key}\n"),
              HasSubstr("clashes with the key of the cluster"));
}

TEST_F(SecuritySection, ASecretThatOthersMayReadIsRefused) {
  const std::filesystem::path file = folder / "keys/cluster.key_secret";
  ASSERT_EQ(chmod(file.c_str(), 0640), 0);
  EXPECT_THAT(error_of(key_line), HasSubstr("chmod 600"));
}

TEST_F(SecuritySection, ClientsChangeLiveAndTheRestDoesNot) {
  const auto none = parse_cluster(shards, "c.yaml");
  const auto before = read(key_line);
  const auto after = read(key_line + "  clients: [{name: x, public_key: \"" + other_key + "\"}]\n");
  ASSERT_TRUE(none && before && after);
  EXPECT_EQ(changes(*before, *after), (Changes{.live = {"security.clients"}, .fixed = {}}));
  EXPECT_EQ(changes(*none, *before), (Changes{.live = {}, .fixed = {"security"}}));
  EXPECT_EQ(changes(*before, *none), (Changes{.live = {}, .fixed = {"security"}}));
  auto rekeyed = *before;
  rekeyed.security->server_key = dashboard;
  EXPECT_EQ(changes(*before, rekeyed), (Changes{.live = {}, .fixed = {"security.server_key"}}));
}

TEST(Exposure, WarnsOfWhatListensBeyondThisMachine) {
  for (const char* here : {"tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///x"}) {
    EXPECT_FALSE(beyond_this_machine(here)) << here;
  }
  for (const char* there : {"tcp://0.0.0.0:1", "tcp://*:1", "tcp://eth0:1", "tcp://10.0.0.1:1"}) {
    EXPECT_TRUE(beyond_this_machine(there)) << there;
  }
  EXPECT_THAT(exposure(false, {"tcp://127.0.0.1:1"}, "0.0.0.0:8550"), IsEmpty());
  EXPECT_THAT(exposure(false, {"ipc:///x", "tcp://10.0.0.1:1"}, "127.0.0.1:0"),
              ElementsAre(StartsWith("tcp://10.0.0.1:1 is open to every machine")));
  EXPECT_THAT(exposure(true, {"tcp://10.0.0.1:1"}, "127.0.0.1:0"), IsEmpty());
  EXPECT_THAT(exposure(true, {"tcp://10.0.0.1:1"}, "0.0.0.0:8550"),
              ElementsAre(StartsWith("http 0.0.0.0:8550 shows")));
}

}  // namespace
}  // namespace canopy::config
