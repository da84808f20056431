#include "core/access/authority.h"

#include <gtest/gtest.h>

#include <string>

namespace canopy::access {
namespace {

const std::string cluster_key(40, 'c');
const std::string key_a(40, 'a');
const std::string key_b(40, 'b');

Permissions with(std::vector<std::string> read, const std::string& key = key_a) {
  return Permissions({{.name = "dashboard", .public_key = key, .read = std::move(read)},
                      {.name = "ops", .public_key = key_b, .write = {""}, .admin = true}});
}

TEST(Authority, KnowsProcessesAndClientsByTheirKeys) {
  const Authority authority(cluster_key, with({"/a/"}));
  EXPECT_EQ(authority.name_of(cluster_key), cluster_name);
  EXPECT_EQ(authority.name_of(key_a), "dashboard");
  EXPECT_EQ(authority.name_of(std::string(40, 'x')), std::nullopt);
  const Sender process{cluster_name};
  EXPECT_TRUE(authority.is_own_process(process));
  EXPECT_TRUE(authority.is_admin(process));
  EXPECT_FALSE(authority.is_client(process));
  EXPECT_FALSE(authority.may_read(process, "/a/")) << "a process has no business as a client";
  EXPECT_FALSE(authority.is_own_process({"dashboard"}));
  EXPECT_FALSE(authority.is_client({}));
}

TEST(Authority, WithoutAClusterKeyThereAreOnlyClients) {
  const Authority authority("", with({"/a/"}));
  EXPECT_EQ(authority.name_of(cluster_key), std::nullopt);
  EXPECT_EQ(authority.name_of(""), std::nullopt);
  EXPECT_EQ(authority.name_of(key_b), "ops");
}

TEST(Authority, TellsWhomNewPermissionsChangeSomethingFor) {
  Authority authority("", with({"/a/"}));
  EXPECT_TRUE(authority.may_read({"dashboard"}, "/a/1"));
  EXPECT_EQ(authority.replace(with({"/b/"})), std::vector<std::string>{"dashboard"});
  EXPECT_FALSE(authority.may_read({"dashboard"}, "/a/1"));
  EXPECT_TRUE(authority.may_read({"dashboard"}, "/b/1"));
  EXPECT_TRUE(authority.may_write({"ops"}, "/a/1"));
  EXPECT_TRUE(authority.is_admin({"ops"}));
  EXPECT_EQ(authority.replace(with({"/b/"})), std::vector<std::string>{}) << "nothing has changed";
}

TEST(Authority, ANewKeyIsAChange) {
  Authority authority("", with({"/a/"}));
  EXPECT_EQ(authority.replace(with({"/a/"}, std::string(40, 'n'))),
            std::vector<std::string>{"dashboard"});
  EXPECT_EQ(authority.name_of(key_a), std::nullopt);
  EXPECT_EQ(authority.name_of(std::string(40, 'n')), "dashboard");
}

TEST(Authority, AClientThatIsNoLongerNamedMayNothing) {
  Authority authority("", with({"/a/"}));
  EXPECT_EQ(authority.replace({}), (std::vector<std::string>{"dashboard", "ops"}));
  EXPECT_FALSE(authority.is_client({"dashboard"}));
  EXPECT_FALSE(authority.may_read({"dashboard"}, "/a/1"));
  EXPECT_FALSE(authority.is_admin({"ops"}));
  EXPECT_EQ(authority.replace(with({"/a/"})), std::vector<std::string>{});
  EXPECT_TRUE(authority.is_client({"dashboard"}));
}

}  // namespace
}  // namespace canopy::access
