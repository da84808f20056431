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
  const Sender process{cluster_name, 1};
  EXPECT_TRUE(authority.is_own_process(process));
  EXPECT_TRUE(authority.is_admin(process));
  EXPECT_FALSE(authority.is_client(process));
  EXPECT_FALSE(authority.may_read(process, "/a/")) << "a process has no business as a client";
  EXPECT_FALSE(authority.is_own_process({"dashboard", 1}));
  EXPECT_FALSE(authority.is_client({}));
}

TEST(Authority, WithoutAClusterKeyThereAreOnlyClients) {
  const Authority authority("", with({"/a/"}));
  EXPECT_EQ(authority.name_of(cluster_key), std::nullopt);
  EXPECT_EQ(authority.name_of(""), std::nullopt);
  EXPECT_EQ(authority.name_of(key_b), "ops");
}

TEST(Authority, AnOlderConnectionIsVoidOnceItsClientHasChanged) {
  Authority authority("", with({"/a/"}));
  EXPECT_TRUE(authority.may_read({"dashboard", 7}, "/a/1"));
  EXPECT_EQ(authority.replace(with({"/a/", "/b/"}), 7), std::vector<std::string>{"dashboard"});
  EXPECT_FALSE(authority.may_read({"dashboard", 7}, "/a/1"));
  EXPECT_FALSE(authority.is_client({"dashboard", 7}));
  EXPECT_TRUE(authority.may_read({"dashboard", 8}, "/b/1"));
  EXPECT_TRUE(authority.may_write({"ops", 7}, "/a/1")) << "whose entry is the same";
  EXPECT_TRUE(authority.is_admin({"ops", 7}));
}

TEST(Authority, ANewKeyEndsWhatTheOldOneHasOpened) {
  Authority authority("", with({"/a/"}));
  authority.replace(with({"/a/"}, std::string(40, 'n')), 3);
  EXPECT_EQ(authority.name_of(key_a), std::nullopt);
  EXPECT_FALSE(authority.may_read({"dashboard", 3}, "/a/1"));
  EXPECT_TRUE(authority.may_read({"dashboard", 4}, "/a/1"));
}

TEST(Authority, WhoIsGoneIsNobody) {
  Authority authority("", with({"/a/"}));
  EXPECT_EQ(authority.replace({}, 9), (std::vector<std::string>{"dashboard", "ops"}));
  EXPECT_FALSE(authority.is_client({"dashboard", 10}));
  EXPECT_FALSE(authority.is_admin({"ops", 10}));
  EXPECT_EQ(authority.replace(with({"/a/"}), 12), std::vector<std::string>{});
  EXPECT_FALSE(authority.is_client({"dashboard", 9})) << "a connection of the time before";
  EXPECT_TRUE(authority.is_client({"dashboard", 13}));
}

}  // namespace
}  // namespace canopy::access
