#include "proxy/subscribers.h"

#include <gtest/gtest.h>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
constexpr base::TimePoint start{1h};

TEST(Subscribers, NobodyEndsWhatHeHasNotBegunOrBeginsItTwice) {
  Subscribers subscribers;
  subscribers.meet({{.fd = 7, .since = start}, {.fd = 8, .since = start}});
  EXPECT_FALSE(subscribers.end(7, "t"));
  EXPECT_TRUE(subscribers.begin(7, "t"));
  EXPECT_FALSE(subscribers.begin(7, "t"));
  EXPECT_TRUE(subscribers.begin(8, "t"));
  EXPECT_TRUE(subscribers.end(7, "t"));
  EXPECT_FALSE(subscribers.end(7, "t"));
  EXPECT_TRUE(subscribers.end(-1, "t")) << "the end of a connection ends what it had";
}

TEST(Subscribers, AnotherConnectionOfTheSameDescriptorHasNothingYet) {
  Subscribers subscribers;
  subscribers.meet({{.fd = 7, .since = start}});
  EXPECT_TRUE(subscribers.begin(7, "t"));
  subscribers.meet({{.fd = 7, .since = start}});
  EXPECT_FALSE(subscribers.begin(7, "t"));
  subscribers.meet({{.fd = 7, .since = start + 1ms}});
  EXPECT_FALSE(subscribers.end(7, "t"));
  EXPECT_TRUE(subscribers.begin(7, "t"));
}

TEST(Subscribers, AConnectionMayBeHeardBeforeItIsSeen) {
  Subscribers subscribers;
  EXPECT_TRUE(subscribers.begin(7, "t"));
  subscribers.meet({{.fd = 7, .since = start}});
  EXPECT_FALSE(subscribers.begin(7, "t"));
  EXPECT_TRUE(subscribers.end(7, "t"));
}

TEST(Subscribers, WhatAConnectionSaidLastMayComeAfterItsEnd) {
  Subscribers subscribers;
  subscribers.meet({{.fd = 7, .since = start}});
  EXPECT_TRUE(subscribers.begin(7, "t"));
  subscribers.forget_absent({});
  EXPECT_FALSE(subscribers.begin(7, "t"));
  EXPECT_FALSE(subscribers.end(7, "never begun"));
  subscribers.forget_absent({});
  EXPECT_TRUE(subscribers.begin(7, "t")) << "it is forgotten by now";
}

}  // namespace
}  // namespace canopy::proxy
