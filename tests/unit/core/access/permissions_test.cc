#include "core/access/permissions.h"

#include <gtest/gtest.h>

#include <string>

#include "core/access/keys.h"

namespace canopy::access {
namespace {

const std::string key_a(key_characters, 'a');
const std::string key_b(key_characters, 'b');

Permissions sample() {
  return Permissions({{.name = "dashboard", .public_key = key_a, .read = {"/results/"}},
                      {.name = "ops",
                       .public_key = key_b,
                       .read = {""},
                       .write = {"/results/eu/", "/x/"},
                       .admin = true}});
}

TEST(Permissions, NobodyMayAnythingByDefault) {
  const Permissions none;
  EXPECT_EQ(none.name_of(key_a), nullptr);
  EXPECT_FALSE(none.may_read("", ""));
  EXPECT_FALSE(none.may_read("dashboard", "/results/"));
  EXPECT_FALSE(sample().may_write("dashboard", "/results/1"));
  EXPECT_FALSE(sample().is_admin("dashboard"));
  EXPECT_FALSE(sample().may_read("stranger", "/results/"));
}

TEST(Permissions, AGrantCoversWhatBeginsLikeItAndNothingWider) {
  const Permissions permissions = sample();
  for (const char* prefix : {"/results/", "/results/eu/", "/results/eu/42", "/results//"}) {
    EXPECT_TRUE(permissions.may_read("dashboard", prefix)) << prefix;
  }
  for (const char* prefix : {"", "/", "/res", "/results", "/results-2/", "results/", "/other/"}) {
    EXPECT_FALSE(permissions.may_read("dashboard", prefix)) << prefix;
  }
  for (const char* prefix : {"", "/", "bare", "HUGZ"}) {
    EXPECT_TRUE(permissions.may_read("ops", prefix)) << prefix;
  }
}

TEST(Permissions, WritingIsGrantedApartFromReading) {
  const Permissions permissions = sample();
  EXPECT_TRUE(permissions.may_write("ops", "/results/eu/1"));
  EXPECT_TRUE(permissions.may_write("ops", "/x/1"));
  EXPECT_FALSE(permissions.may_write("ops", "/results/us/1"));
  EXPECT_FALSE(permissions.may_write("ops", "/results/eu"));
  EXPECT_TRUE(permissions.is_admin("ops"));
}

TEST(Permissions, AClientIsKnownByItsKey) {
  const Permissions permissions = sample();
  ASSERT_NE(permissions.name_of(key_a), nullptr);
  EXPECT_EQ(*permissions.name_of(key_a), "dashboard");
  EXPECT_EQ(permissions.name_of(key_a.substr(1)), nullptr);
  EXPECT_TRUE(permissions.knows("ops"));
  EXPECT_FALSE(permissions.knows(""));
}

TEST(Permissions, AnythingElseAboutAClientIsAChange) {
  const Permissions before = sample();
  EXPECT_TRUE(before.changed_by(sample()).empty());
  const Client dashboard{.name = "dashboard", .public_key = key_a, .read = {"/results/"}};
  EXPECT_EQ(before.changed_by(Permissions({dashboard})), std::vector<std::string>{"ops"});
  Client other = dashboard;
  other.public_key = key_b;
  EXPECT_EQ(before.changed_by(Permissions({other})),
            (std::vector<std::string>{"dashboard", "ops"}));
  other = dashboard;
  other.read = {"/results/eu/"};
  EXPECT_EQ(before.changed_by(Permissions({other})),
            (std::vector<std::string>{"dashboard", "ops"}));
  EXPECT_TRUE(Permissions().changed_by(before).empty()) << "a new client had no connection";
}

TEST(Keys, AreFortyCharactersOfZ85) {
  EXPECT_TRUE(is_key("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"));
  EXPECT_FALSE(is_key(""));
  EXPECT_FALSE(is_key(std::string(40, '#')));  // no 32 bytes
  EXPECT_FALSE(is_key(std::string(39, 'a')));
  EXPECT_FALSE(is_key(std::string(41, 'a')));
  EXPECT_FALSE(is_key(std::string(39, 'a') + "\""));
  EXPECT_FALSE(is_key(std::string(39, 'a') + " "));
}

}  // namespace
}  // namespace canopy::access
