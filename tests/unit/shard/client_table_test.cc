#include "shard/client_table.h"

#include <gtest/gtest.h>

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;

class ClientTableTest : public testing::Test {
 protected:
  // Whether the request is new; it then comes to the revision of its number.
  bool take(const std::string& client, std::uint64_t number, std::uint64_t settled = 0) {
    const auto known = table_.look_up(client, number, settled);
    if (known.fault != Fault::none || known.entry != nullptr) return false;
    table_.remember(client, number, settled, {Fault::none, Revision(number)});
    return true;
  }
  Fault fault(const std::string& client, std::uint64_t number, std::uint64_t settled = 0) {
    return table_.look_up(client, number, settled).fault;
  }

  ClientTable table_{{.clients = 3, .unsettled = 4, .results = 8}};
};

TEST_F(ClientTableTest, KnowsARequestThatComesAgain) {
  EXPECT_TRUE(take("a", 2));
  EXPECT_TRUE(take("a", 1)) << "requests may overtake each other";
  EXPECT_TRUE(take("b", 2)) << "each client counts for itself";
  const auto known = table_.look_up("a", 2, 1);
  ASSERT_NE(known.entry, nullptr);
  EXPECT_EQ(known.entry->result.revision, Revision(2));
}

TEST_F(ClientTableTest, RemembersRefusalsToo) {
  table_.look_up("a", 1, 1);
  table_.remember("a", 1, 1, {Fault::revision_mismatch, Revision(7)});
  const auto known = table_.look_up("a", 1, 1);
  ASSERT_NE(known.entry, nullptr);
  EXPECT_EQ(known.entry->result.fault, Fault::revision_mismatch);
  EXPECT_EQ(known.entry->result.revision, Revision(7));
}

TEST_F(ClientTableTest, WhatIsSettledIsForgottenAndRefused) {
  for (std::uint64_t number = 1; number <= 4; ++number) EXPECT_TRUE(take("a", number));
  EXPECT_EQ(fault("a", 5), Fault::too_many_requests);
  EXPECT_EQ(table_.results(), 4u);
  EXPECT_TRUE(take("a", 5, 4));
  EXPECT_EQ(table_.results(), 2u);
  EXPECT_EQ(fault("a", 3, 1), Fault::replayed) << "the mark never goes back";
  EXPECT_NE(table_.look_up("a", 4, 1).entry, nullptr);
}

TEST_F(ClientTableTest, TheFirstRequestMaySettleOthers) {
  EXPECT_TRUE(take("a", 9, 8));
  EXPECT_EQ(fault("a", 7, 7), Fault::replayed);
  EXPECT_TRUE(take("a", 8, 8));
}

TEST_F(ClientTableTest, RefusesNumbersThatCannotBe) {
  EXPECT_EQ(fault("a", 0), Fault::bad_field);
  EXPECT_EQ(fault("a", 3, 4), Fault::bad_field);
  EXPECT_EQ(table_.clients(), 0u);
}

TEST_F(ClientTableTest, ForgetsTheClientHeardOfLeastRecently) {
  for (const char* client : {"a", "b", "c"}) EXPECT_TRUE(take(client, 1));
  EXPECT_FALSE(take("a", 1));
  EXPECT_TRUE(take("d", 1));
  EXPECT_EQ(table_.clients(), 3u);
  EXPECT_FALSE(take("a", 1)) << "heard of again before";
  EXPECT_TRUE(take("b", 1)) << "forgotten";
}

TEST_F(ClientTableTest, IsBoundedInResultsOfAllClients) {
  for (std::uint64_t number = 1; number <= 4; ++number) EXPECT_TRUE(take("a", number));
  for (std::uint64_t number = 1; number <= 4; ++number) EXPECT_TRUE(take("b", number));
  EXPECT_EQ(table_.results(), 8u);
  EXPECT_TRUE(take("c", 1));
  EXPECT_EQ(table_.results(), 5u);
  EXPECT_FALSE(take("b", 1));
  EXPECT_TRUE(take("a", 1));
}

TEST_F(ClientTableTest, WhatWasNeverConfirmedCanBeForgotten) {
  EXPECT_TRUE(take("a", 1));
  table_.confirm();
  EXPECT_TRUE(take("a", 2));
  EXPECT_TRUE(take("b", 1));
  EXPECT_TRUE(table_.unconfirmed(*table_.look_up("a", 2, 0).entry));
  EXPECT_FALSE(table_.unconfirmed(*table_.look_up("a", 1, 0).entry));
  table_.forget_unconfirmed();
  EXPECT_EQ(table_.results(), 1u);
  EXPECT_FALSE(take("a", 1));
  EXPECT_TRUE(take("a", 2));
  EXPECT_TRUE(take("b", 1));
}

}  // namespace
}  // namespace canopy::shard
