#include "core/cluster/request_table.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

namespace canopy::cluster {
namespace {

using keyspace::AppliedRequest;
using keyspace::Revision;
using wire::Fault;

class RequestTableTest : public testing::Test {
 protected:
  void apply(const std::string& client, std::uint64_t number, std::uint64_t settled = 0) {
    table_.apply({client, number, settled, last_ = last_.next()});
  }
  bool knows(const std::string& client, std::uint64_t number) const {
    return table_.look_up(client, number, 0).revision.has_value();
  }
  Fault fault(const std::string& client, std::uint64_t number, std::uint64_t settled = 0) const {
    return table_.look_up(client, number, settled).fault;
  }

  RequestTable table_{RequestTable::Limits{.clients = 3, .unsettled = 4, .results = 8}};
  Revision last_{1, 0};
};

TEST_F(RequestTableTest, KnowsARequestThatComesAgain) {
  apply("a", 2);
  apply("a", 1);
  EXPECT_EQ(table_.look_up("a", 2, 0).revision, Revision(1, 1));
  EXPECT_EQ(table_.look_up("a", 1, 0).revision, Revision(1, 2));
  EXPECT_FALSE(knows("b", 2)) << "each client counts for itself";
  apply("a", 2);
  EXPECT_EQ(table_.look_up("a", 2, 0).revision, Revision(1, 1)) << "applied once";
  EXPECT_EQ(table_.results(), 2u);
}

TEST_F(RequestTableTest, WhatIsSettledIsForgottenAndRefused) {
  for (std::uint64_t number = 1; number <= 4; ++number) apply("a", number);
  EXPECT_EQ(fault("a", 5), Fault::too_many_requests);
  EXPECT_EQ(fault("a", 5, 2), Fault::none) << "it settles one itself";
  apply("a", 5, 4);
  EXPECT_EQ(table_.results(), 2u);
  EXPECT_EQ(fault("a", 3), Fault::replayed);
  apply("a", 3, 3);
  EXPECT_EQ(table_.results(), 2u);
  EXPECT_TRUE(knows("a", 4));
}

TEST_F(RequestTableTest, RefusesNumbersThatCannotBe) {
  EXPECT_EQ(fault("a", 0), Fault::bad_field);
  EXPECT_EQ(fault("a", 3, 4), Fault::bad_field);
}

TEST_F(RequestTableTest, ForgetsTheClientWhoseLastRequestIsTheOldest) {
  for (const char* client : {"a", "b", "c", "a"}) apply(client, table_.results() + 1);
  EXPECT_TRUE(knows("b", 2)) << "asking does not count";
  apply("d", 1);
  EXPECT_EQ(table_.clients(), 3u);
  EXPECT_FALSE(knows("b", 2));
  EXPECT_TRUE(knows("a", 1));
}

TEST_F(RequestTableTest, IsBoundedInResultsOfAllClients) {
  for (std::uint64_t number = 1; number <= 4; ++number) apply("a", number);
  for (std::uint64_t number = 1; number <= 4; ++number) apply("b", number);
  EXPECT_EQ(table_.results(), 8u);
  apply("c", 1);
  EXPECT_EQ(table_.results(), 5u);
  EXPECT_FALSE(knows("a", 1));
}

// A table filled from the list of another table behaves like it.
TEST(RequestTable, GoesOnFromItsList) {
  const auto listed = [](const RequestTable& table) {
    std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t, Revision>> all;
    for (const auto& each : table.list()) {
      all.emplace_back(each.client, each.number, each.settled, each.revision);
    }
    return all;
  };
  std::mt19937 random(5);
  const RequestTable::Limits limits{.clients = 6, .unsettled = 9, .results = 20};
  RequestTable table(limits), copy(limits);
  for (std::uint64_t i = 1; i <= 3'000; ++i) {
    const std::uint64_t number = i / 8 + random() % 9 + 1;
    const AppliedRequest request{std::string(1, static_cast<char>('a' + random() % 8)), number,
                                 number - std::min<std::uint64_t>(number, random() % 9),
                                 Revision(1, i)};
    table.apply(request);
    copy.apply(request);
    ASSERT_EQ(listed(copy), listed(table)) << i;
    if (i % 7 != 0) continue;
    copy = RequestTable(limits);
    for (const auto& each : table.list()) copy.apply(each);
  }
  EXPECT_GT(table.clients(), 3u);
}

}  // namespace
}  // namespace canopy::cluster
