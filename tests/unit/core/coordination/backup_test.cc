#include "core/coordination/backup.h"

#include <gtest/gtest.h>

namespace canopy::coordination {
namespace {

TEST(BackupTest, IsReadAsItWasWritten) {
  const auto read =
      parse_backup(to_json({.order = "o", .name = "monday", .path = "/b\xff", .error = "full"}));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->order, "o");
  EXPECT_EQ(read->name, "monday");
  EXPECT_EQ(read->path, "/b\xef\xbf\xbd") << "what is not UTF-8 is replaced";
  EXPECT_EQ(read->error, "full");
}

TEST(BackupTest, StrangeTextIsRefused) {
  for (const char* text : {"", "{", "[]", "{}", R"({"order":1})", R"({"order":"o","error":[]})"}) {
    EXPECT_FALSE(parse_backup(text)) << text;
  }
  EXPECT_TRUE(parse_backup(R"({"order":"o","more":1})"));
}

}  // namespace
}  // namespace canopy::coordination
