#include "loadtest/ledger.h"

#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

const std::vector<bool> all_visible{true, true, true};

// A client whose snapshot has publisher 0 at 3 and publisher 1 at 1, and ends at sequence 100.
Ledger joined() {
  Ledger ledger(3);
  ledger.start();
  ledger.on_snapshot_entry(0, 3);
  ledger.on_snapshot_entry(1, 1);
  ledger.on_snapshot_end(100);
  return ledger;
}

void receive(Ledger& ledger, std::int64_t sequence, std::uint32_t publisher,
             std::uint32_t counter) {
  if (ledger.check_sequence(sequence)) ledger.on_update(publisher, counter);
}

TEST(Ledger, UpdatesContinueTheSnapshotWithoutFault) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  receive(ledger, 102, 1, 2);
  receive(ledger, 110, 2, 1);
  ledger.finish({{4, 2, 1}, {}}, all_visible);
  EXPECT_EQ(ledger.faults(), Faults{});
  EXPECT_TRUE(ledger.converged({{4, 2, 1}, {}}, all_visible));
  EXPECT_EQ(ledger.applied(), 3u);
}

TEST(Ledger, UpdatesOfTheSnapshotDoNotCountAgain) {
  auto ledger = joined();
  receive(ledger, 99, 0, 2);
  receive(ledger, 100, 0, 3);
  receive(ledger, 101, 0, 4);
  EXPECT_EQ(ledger.faults(), Faults{});
  EXPECT_EQ(ledger.applied(), 1u);
}

TEST(Ledger, AGapIsLost) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  receive(ledger, 105, 0, 8);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 3}));
}

TEST(Ledger, AGapAfterTheSnapshotIsLostAtJoin) {
  auto ledger = joined();
  receive(ledger, 105, 0, 6);  // 4 and 5 are missing
  receive(ledger, 106, 2, 2);  // 1 is missing
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 3, .lost_at_join = 3}));
}

TEST(Ledger, ATruncatedSnapshotShows) {
  Ledger ledger(3);
  ledger.start();
  ledger.on_snapshot_end(100);
  receive(ledger, 101, 0, 4);
  ledger.finish({{4, 1, 0}, {}}, all_visible);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 4, .lost_at_join = 3}));
}

TEST(Ledger, UpdatesMissingAtTheEndAreLost) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  EXPECT_FALSE(ledger.converged({{6, 1, 0}, {}}, all_visible));
  ledger.finish({{6, 1, 0}, {}}, all_visible);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 2}));
}

TEST(Ledger, TheSameMessageTwiceIsRepeated) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  receive(ledger, 101, 0, 4);
  EXPECT_EQ(ledger.faults(), (Faults{.repeated = 1}));
}

TEST(Ledger, AnOldUpdateUnderANewSequenceIsRepeatedOrOutOfOrder) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  receive(ledger, 102, 0, 4);
  receive(ledger, 103, 0, 4);
  receive(ledger, 104, 0, 2);
  EXPECT_EQ(ledger.faults(), (Faults{.repeated = 1, .out_of_order = 1}));
  EXPECT_TRUE(ledger.converged({{4, 1, 0}, {}}, all_visible));
}

// A subscription that follows the snapshot gets the current values.
TEST(Ledger, AValueOfTheSnapshotMayArriveOnceMore) {
  auto ledger = joined();
  receive(ledger, 101, 0, 3);
  EXPECT_EQ(ledger.faults(), Faults());
  receive(ledger, 102, 0, 3);
  EXPECT_EQ(ledger.faults(), (Faults{.repeated = 1}));
}

TEST(Ledger, AnEntryTwiceInASnapshotIsRepeated) {
  Ledger ledger(3);
  ledger.start();
  ledger.on_snapshot_entry(0, 3);
  ledger.on_snapshot_entry(0, 3);
  EXPECT_EQ(ledger.faults(), (Faults{.repeated = 1}));
}

TEST(Ledger, AFallingSequenceIsOutOfOrderAndNotApplied) {
  auto ledger = joined();
  receive(ledger, 103, 0, 4);
  receive(ledger, 102, 1, 2);
  EXPECT_EQ(ledger.faults(), (Faults{.out_of_order = 1}));
  EXPECT_EQ(ledger.counter_of(1), 1u);
}

TEST(Ledger, FallingSequencesOfTheSnapshotAreOutOfOrderToo) {
  auto ledger = joined();
  receive(ledger, 99, 0, 3);
  receive(ledger, 98, 0, 2);
  EXPECT_EQ(ledger.faults(), (Faults{.out_of_order = 1}));
}

TEST(Ledger, ANewIncarnationStartsFromItsOwnSnapshot) {
  auto ledger = joined();
  receive(ledger, 101, 0, 4);
  receive(ledger, 103, 0, 6);
  ledger.start();
  ledger.on_snapshot_entry(0, 20);
  ledger.on_snapshot_entry(1, 9);
  ledger.on_snapshot_end(50);  // another proxy has other sequences
  receive(ledger, 51, 0, 21);
  receive(ledger, 52, 2, 1);
  ledger.finish({{21, 9, 1}, {}}, all_visible);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 1}));  // of the first incarnation
  EXPECT_TRUE(ledger.converged({{21, 9, 1}, {}}, all_visible));
}

TEST(Ledger, UnwatchedKeysAreNotExpected) {
  auto ledger = joined();
  const std::vector<bool> visible{true, true, false};
  ledger.finish({{3, 1, 70}, {}}, visible);
  EXPECT_EQ(ledger.faults(), Faults{});
  EXPECT_TRUE(ledger.converged({{3, 1, 70}, {}}, visible));
}

TEST(Ledger, UnwatchedKeysMustNotArrive) {
  auto ledger = joined();
  receive(ledger, 101, 2, 1);
  EXPECT_FALSE(ledger.converged({{3, 1, 1}, {}}, {true, true, false}));
}

TEST(Ledger, AnUnknownPublisherIsCorruption) {
  auto ledger = joined();
  receive(ledger, 101, 3, 1);
  ledger.on_snapshot_entry(3, 1);
  EXPECT_EQ(ledger.faults(), (Faults{.corrupted = 2}));
  EXPECT_FALSE(ledger.converged({{3, 1, 0}, {}}, all_visible));
}

// A native client whose snapshot held publisher 0 at 3 and publisher 1 at 1.
Ledger synced() {
  Ledger ledger(3);
  ledger.start();
  ledger.on_catch_up(0, 3);
  ledger.on_catch_up(1, 1);
  ledger.on_synced({3, 1, 0});
  return ledger;
}

TEST(NativeLedger, SnapshotAndUpdatesJoinWithoutFault) {
  auto ledger = synced();
  ledger.on_update(0, 4);
  ledger.on_update(2, 1);
  ledger.finish({{4, 1, 1}, {}}, all_visible);
  EXPECT_EQ(ledger.faults(), Faults{});
  EXPECT_TRUE(ledger.converged({{4, 1, 1}, {}}, all_visible));
  EXPECT_EQ(ledger.overtaken(), 0u);
}

TEST(NativeLedger, OnlyAResyncMaySkip) {
  auto ledger = synced();
  ledger.on_catch_up(0, 9);
  EXPECT_EQ(ledger.faults(), Faults{});
  EXPECT_EQ(ledger.overtaken(), 5u);
  ledger.on_update(0, 12);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 2}));
}

TEST(NativeLedger, AResyncNeitherRepeatsNorGoesBack) {
  auto ledger = synced();
  ledger.on_catch_up(0, 3);
  ledger.on_catch_up(0, 2);
  EXPECT_EQ(ledger.faults(), (Faults{.repeated = 1, .out_of_order = 1}));
}

TEST(NativeLedger, ASnapshotOrItsUpdatesHoldEarlierWrites) {
  Ledger ledger(3);
  ledger.start();
  ledger.on_catch_up(0, 3);
  ledger.on_synced({4, 1, 7});
  ledger.on_update(0, 4);
  ledger.finish({{4, 0, 7}, {}}, {true, true, false});
  EXPECT_EQ(ledger.faults(), (Faults{.incomplete = 1}));
}

TEST(NativeLedger, UnacknowledgedUpdatesNeedNotArrive) {
  auto ledger = synced();
  ledger.on_update(0, 6);  // without 4 and 5
  ledger.on_update(1, 3);  // without 2
  const Outcome outcome{{6, 3, 0}, {{0, 3}, {0, 5}, {2, 2}}};
  ledger.finish(outcome, all_visible);
  EXPECT_EQ(ledger.faults(), (Faults{.lost = 2}));
}

}  // namespace
}  // namespace canopy::loadtest
