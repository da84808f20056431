#include "client/cli/write_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/json.h"

namespace canopy::client::cli {
namespace {

using testing::HasSubstr;

TEST(WriteLines, AnExportedEntryIsRead) {
  const Answer::Entry entry{.key = "/\xff",
                            .value = std::string("\0\xfe", 2),
                            .properties = "a=1\n",
                            .revision = keyspace::Revision(7),
                            .expires_at_ms = 5000};
  const auto write = parse_entry_line(entry_json(entry, 3000).dump());
  ASSERT_TRUE(write.ok()) << write.error();
  EXPECT_EQ(write->key, entry.key);
  EXPECT_EQ(write->value, entry.value);
  EXPECT_EQ(write->properties, entry.properties);
  EXPECT_EQ(write->ttl_ms, 2000);
  EXPECT_FALSE(write->deletes);
  EXPECT_FALSE(write->if_revision.has_value());
}

TEST(WriteLines, AWriteIsAPutOrADelete) {
  const auto put = parse_write_line(R"({"put":"/a","value":"","ttl_ms":5,"if_revision":0})");
  ASSERT_TRUE(put.ok()) << put.error();
  EXPECT_EQ(put->key, "/a");
  EXPECT_FALSE(put->deletes);
  EXPECT_EQ(put->ttl_ms, 5);
  EXPECT_EQ(put->if_revision, keyspace::Revision(0));
  const auto erase =
      parse_write_line(R"({"delete_base64":"/w==","if_revision":"18446744073709551615"})");
  ASSERT_TRUE(erase.ok()) << erase.error();
  EXPECT_EQ(erase->key, "\xff");
  EXPECT_TRUE(erase->deletes);
  EXPECT_EQ(erase->if_revision, keyspace::Revision(UINT64_MAX));
}

TEST(WriteLines, ABadLineIsNamed) {
  const std::pair<const char*, const char*> entries[] = {
      {"", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {R"({"key":"/a")", "not a JSON object"},
      {R"({"value":"v"})", "\"key\" is missing"},
      {R"({"key":"/a"})", "\"value\" is missing"},
      {R"({"key":1,"value":"v"})", "\"key\" is not a string"},
      {R"({"key":"/a","value_base64":"*"})", "\"value_base64\" is not base64"},
      {R"({"key":"/a","value":"v","tll_ms":1})", "unknown member tll_ms"},
      {R"({"key":"/a","value":"v","ttl_ms":-1})", "\"ttl_ms\" is not a whole number"},
      {R"({"key":"/a","value":"v","ttl_ms":18446744073709551615})", "ttl_ms is out of range"},
      {R"({"key":"/a","value":"v","if_revision":"1"})", "unknown member if_revision"},
      {R"({"key":"","value":"v"})", "not a key"},
  };
  for (const auto& [line, why] : entries) {
    const auto write = parse_entry_line(line);
    ASSERT_FALSE(write.ok()) << line;
    EXPECT_EQ(write.error(), why) << line;
  }
  const std::pair<const char*, const char*> writes[] = {
      {R"({"value":"v"})", "\"put\" is missing"},
      {R"({"delete":"/a","value":"v"})", "unknown member value"},
      {R"({"delete":"/a","put":"/b","value":"v"})", "unknown member put"},
      {R"({"put":"/a","value":"v","if_revision":"x"})", "\"if_revision\" is not a whole number"},
  };
  for (const auto& [line, why] : writes) {
    const auto write = parse_write_line(line);
    ASSERT_FALSE(write.ok()) << line;
    EXPECT_EQ(write.error(), why) << line;
  }
}

}  // namespace
}  // namespace canopy::client::cli
