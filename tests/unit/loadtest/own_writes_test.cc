#include "loadtest/own_writes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

using testing::ElementsAre;

keyspace::Revision revision(std::uint64_t counter) { return keyspace::Revision(1, counter); }

TEST(OwnWrites, AcknowledgedAndReceivedOnceIsRight) {
  OwnWrites own;
  own.sent(1, 1000);
  own.sent(2, 2000);
  EXPECT_EQ(own.open(), 2u);
  EXPECT_EQ(own.acknowledged(1, revision(5), 1700), 700);
  own.seen(1, revision(5));
  own.seen(2, revision(7));  // before the answer
  EXPECT_EQ(own.last_applied(), 2u);
  own.acknowledged(2, revision(7), 2300);
  EXPECT_EQ(own.open(), 0u);
  EXPECT_EQ(own.misapplied(), 0u);
}

TEST(OwnWrites, RevisionsOfAnswersMustGrow) {
  OwnWrites own;
  own.sent(1, 0);
  own.sent(2, 0);
  own.acknowledged(1, revision(5), 0);
  own.acknowledged(2, revision(5), 0);
  EXPECT_EQ(own.misapplied(), 1u);
}

TEST(OwnWrites, TheRevisionMustBeTheAcknowledgedOne) {
  for (const bool seen_first : {false, true}) {
    OwnWrites own;
    own.sent(1, 0);
    if (seen_first) own.seen(1, revision(6));
    own.acknowledged(1, revision(5), 0);
    if (!seen_first) own.seen(1, revision(6));
    EXPECT_EQ(own.misapplied(), 1u);
  }
}

TEST(OwnWrites, AWriteAppliedTwiceIsFound) {
  OwnWrites own;
  own.sent(1, 0);
  own.acknowledged(1, revision(5), 0);
  own.seen(1, revision(5));
  own.seen(1, revision(9));
  EXPECT_EQ(own.misapplied(), 1u);
  own.seen(1, revision(5));  // received twice, which is another fault
  EXPECT_EQ(own.misapplied(), 1u);
}

TEST(OwnWrites, UpdatesThatAResyncSkipsAreNotMissed) {
  OwnWrites own;
  for (std::uint32_t counter = 1; counter <= 3; ++counter) own.sent(counter, 0);
  own.acknowledged(1, revision(1), 0);
  own.seen(3, revision(3));
  own.acknowledged(2, revision(2), 0);
  own.acknowledged(3, revision(3), 0);
  EXPECT_EQ(own.misapplied(), 0u);
}

TEST(OwnWrites, FailedWritesAreUnacknowledged) {
  OwnWrites own;
  for (std::uint32_t counter = 1; counter <= 3; ++counter) own.sent(counter, 0);
  own.acknowledged(1, revision(1), 0);
  own.failed(2);
  own.failed(3);
  EXPECT_EQ(own.open(), 0u);
  EXPECT_THAT(own.unacknowledged(), ElementsAre(2, 3));
  EXPECT_EQ(own.last_applied(), 1u);
  own.seen(2, revision(2));  // applied after all
  EXPECT_EQ(own.last_applied(), 2u);
  EXPECT_EQ(own.misapplied(), 0u);
}

}  // namespace
}  // namespace canopy::loadtest
