#include "core/zmtp/subscriptions.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace canopy::zmtp {
namespace {

TEST(Subscriptions, EndWithOneCancellation) {
  Subscriptions subscriptions;
  EXPECT_FALSE(subscriptions.end("a")) << "nobody has subscribed to it";
  EXPECT_TRUE(subscriptions.begin("a"));
  EXPECT_FALSE(subscriptions.begin("a"));
  EXPECT_TRUE(subscriptions.begin("b"));
  EXPECT_EQ(subscriptions.size(), 2u);
  EXPECT_TRUE(subscriptions.end("a"));
  EXPECT_FALSE(subscriptions.matches("a"));
  EXPECT_FALSE(subscriptions.end("a"));
  EXPECT_TRUE(subscriptions.matches("b"));
}

TEST(Subscriptions, MatchByPrefix) {
  Subscriptions subscriptions;
  EXPECT_FALSE(subscriptions.matches(""));
  subscriptions.begin("/a/");
  subscriptions.begin("/a/b/c/");
  subscriptions.begin({"/z\0", 3});
  EXPECT_TRUE(subscriptions.matches("/a/b/x"));
  EXPECT_TRUE(subscriptions.matches("/a/b/c/d"));
  EXPECT_FALSE(subscriptions.matches("/a"));
  EXPECT_FALSE(subscriptions.matches("/b"));
  EXPECT_FALSE(subscriptions.matches("/z"));
  EXPECT_TRUE(subscriptions.matches({"/z\0x", 4}));
  subscriptions.begin("");
  EXPECT_TRUE(subscriptions.matches(""));
  EXPECT_TRUE(subscriptions.matches("/b"));
}

TEST(Subscriptions, MatchAsAComparisonWithEachTopicDoes) {
  std::mt19937 random(7);
  const auto text = [&] {
    std::string made(random() % 6, 'a');
    for (char& each : made) each = static_cast<char>("ab\xff"[random() % 3]);
    return made;
  };
  for (int round = 0; round < 300; ++round) {
    Subscriptions subscriptions;
    std::set<std::string> topics;
    for (std::size_t i = random() % 8; i > 0; --i) {
      const std::string topic = text();
      EXPECT_EQ(subscriptions.begin(topic), topics.insert(topic).second);
    }
    for (int i = 0; i < 50; ++i) {
      const std::string message = text();
      bool expected = false;
      for (const std::string& topic : topics) expected |= message.starts_with(topic);
      ASSERT_EQ(subscriptions.matches(message), expected) << message;
    }
  }
}

}  // namespace
}  // namespace canopy::zmtp
