#include "client/cli/text.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

TEST(Text, WhatFitsALineStaysAsItIs) {
  EXPECT_EQ(escaped("/a b/ü€😀 \"q\""), "/a b/ü€😀 \"q\"");
  EXPECT_EQ(escaped(""), "");
}

TEST(Text, WhatDoesNotIsEscaped) {
  EXPECT_EQ(escaped("a\nb\tc\\d"), "a\\nb\\tc\\\\d");
  EXPECT_EQ(escaped("\0\r\x1b[2J\x7f"sv), "\\x00\\x0d\\x1b[2J\\x7f");
  EXPECT_EQ(escaped("\xc2\x9b"), "\\xc2\\x9b") << "a control character of its own";
  EXPECT_EQ(escaped("\xc2\xa0"), "\xc2\xa0");
}

TEST(Text, BytesThatAreNotUtf8AreEscapedOneByOne) {
  EXPECT_EQ(escaped("x\xffy"), "x\\xffy");
  EXPECT_EQ(escaped("\xe2\x82"), "\\xe2\\x82") << "cut short";
  EXPECT_EQ(escaped("\xe2\x82\xac\x80"), "€\\x80");
}

TEST(Text, DurationsHaveAUnit) {
  EXPECT_EQ(*parse_duration("500ms"), 500ms);
  EXPECT_EQ(*parse_duration("5s"), 5s);
  EXPECT_EQ(*parse_duration("2m"), 2min);
  EXPECT_EQ(*parse_duration("3h"), 3h);
  for (const auto text : {"", "5", "s", "0s", "-5s", "1.5s", " 5s", "5 s", "5sec", "5S",
                          "99999999999999999999s", "18446744073709551615h", "9000000000h"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_EQ(to_text(120s), "2m");
  EXPECT_EQ(to_text(90s), "90s");
  EXPECT_EQ(to_text(1500ms), "1500ms");
}

TEST(Text, NumbersAreWhole) {
  EXPECT_EQ(*parse_number("0"), 0u);
  EXPECT_EQ(*parse_number("18446744073709551615"), UINT64_MAX);
  for (const auto text : {"", "-1", "+1", "1x", "0x10", " 1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_number(text).ok()) << text;
  }
}

}  // namespace
}  // namespace canopy::client::cli
