#include "client/cli/json.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

TEST(Json, MembersAreTextOrBase64) {
  Json object;
  add_bytes(object, "value", "a\"b\\c\n\x01ü");
  EXPECT_EQ(json_line(object), R"({"value":"a\"b\\c\n\u0001ü"})"
                               "\n");
  Json binary;
  add_bytes(binary, "value", "\xff");
  EXPECT_EQ(json_line(binary), "{\"value_base64\":\"/w==\"}\n");
}

TEST(Json, AnEntryHasWhatIsSet) {
  Answer::Entry entry{.key = "/a", .value = "v", .revision = keyspace::Revision(UINT64_MAX)};
  EXPECT_EQ(entry_json(entry, 0).dump(),
            R"({"key":"/a","revision":"18446744073709551615","value":"v"})");
  entry.properties = "a=1\n";
  entry.expires_at_ms = 5000;
  EXPECT_EQ(
      entry_json(entry, 3000).dump(),
      R"({"key":"/a","revision":"18446744073709551615","value":"v","properties":"a=1\n","ttl_ms":2000})");
  EXPECT_EQ(entry_json(entry, 9000)["ttl_ms"], 1) << "expired meanwhile";
}

}  // namespace
}  // namespace canopy::client::cli
