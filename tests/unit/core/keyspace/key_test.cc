#include "core/keyspace/key.h"

#include <gtest/gtest.h>

#include <string>

namespace canopy::keyspace {
namespace {

TEST(Key, RulesOfAKey) {
  EXPECT_EQ(check_key("/results/eu/42"), KeyFault::none);
  EXPECT_EQ(check_key("bare"), KeyFault::none);
  EXPECT_EQ(check_key("/ünicode"), KeyFault::none);
  EXPECT_EQ(check_key(""), KeyFault::empty);
  EXPECT_EQ(check_key(std::string(255, 'k')), KeyFault::none);
  EXPECT_EQ(check_key(std::string(256, 'k')), KeyFault::too_long);
  EXPECT_EQ(check_key("a\nb"), KeyFault::control_character);
  EXPECT_EQ(check_key(std::string_view("a\0b", 3)), KeyFault::control_character);
  EXPECT_EQ(check_key("a\x7f"), KeyFault::control_character);
  for (const char* word : {"HUGZ", "KTHXBAI", "ICANHAZ?"}) {
    EXPECT_EQ(check_key(word), KeyFault::reserved_word);
  }
  EXPECT_EQ(check_key("HUGZ/1"), KeyFault::none);
}

TEST(Key, RulesOfASubtree) {
  EXPECT_TRUE(is_subtree(""));
  EXPECT_TRUE(is_subtree("/"));
  EXPECT_TRUE(is_subtree("/results/"));
  EXPECT_FALSE(is_subtree("/results"));
  EXPECT_FALSE(is_subtree("/a\t/"));
}

}  // namespace
}  // namespace canopy::keyspace
