#include "core/base/json.h"

#include <gtest/gtest.h>

namespace canopy::base::json {
namespace {

TEST(Json, WhatIsWrittenIsRead) {
  const Value value = Object{{"array", Array{std::uint64_t{1}, nullptr, true}},
                             {"empty", Object{}},
                             {"negative", std::int64_t{-7}},
                             {"largest", UINT64_MAX},
                             {"text", "\"\\/\n\x01 \u00e9"}};
  const std::string text = dump(value);
  EXPECT_EQ(text, R"({"array":[1,null,true],"empty":{},"largest":18446744073709551615,)"
                  R"("negative":-7,"text":"\"\\/\n\u0001 )"
                  "\u00e9\"}");
  const auto read = parse(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(dump(*read), text);
}

TEST(Json, ReadsEscapesAndSpace) {
  const auto read = parse(" [ \"\\u00e9\\ud83d\\ude00\\/\\b\" , 1.5e3, -0 ]\n");
  ASSERT_TRUE(read);
  EXPECT_EQ(dump(*read), "[\"\u00e9\U0001F600/\\b\",1500,0]");
}

TEST(Json, TheLastOfEqualNamesHolds) {
  EXPECT_EQ(dump(*parse(R"({"a":[1],"a":{}})")), R"({"a":{}})");
}

TEST(Json, RefusesWhatIsNone) {
  for (const char* text :
       {"",          " ",           "{",           "[1,]",   "{\"a\"}", "{\"a\":1,}", "01",
        "1.",        ".5",          "+1",          "1e",     "nul",     "[1] 2",      "\"\\x\"",
        "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\n\"", "\"open",  "\"\xff\""}) {
    EXPECT_FALSE(parse(text)) << text;
  }
  EXPECT_FALSE(parse(std::string(60'000, '[')));
}

TEST(Json, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(dump(Value("a\xff\xc3")), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace canopy::base::json
