#include "core/base/text.h"

#include <gtest/gtest.h>

namespace canopy::base {
namespace {

TEST(Text, KnowsUtf8) {
  for (const char* good :
       {"", "a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x8c\xb2", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad : {"\xe9", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "\x80", "a\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(Text, KnowsNamesOfFiles) {
  for (const char* good : {"a", "2026-01-31_s1.b"}) EXPECT_TRUE(is_file_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "a/b", "a b", "\xc3\xbc"}) {
    EXPECT_FALSE(is_file_name(bad)) << bad;
  }
  EXPECT_TRUE(is_file_name(std::string(63, 'x')));
  EXPECT_FALSE(is_file_name(std::string(64, 'x')));
}

TEST(Text, QuotesInOneLine) {
  EXPECT_EQ(base::quoted("a\nb"), "'a\\x0ab'");
  EXPECT_EQ(base::quoted(std::string("a\0b", 3)), "'a\\x00b'");
  EXPECT_EQ(base::quoted(std::string(301, 'x')), "'" + std::string(300, 'x') + "…'");
}

}  // namespace
}  // namespace canopy::base
