#include "proxy/pending_updates.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/wire/entry.h"

namespace canopy::proxy {
namespace {

keyspace::UpdatePtr update_of(std::size_t bytes) {
  return wire::make_update({.key = "k", .value = std::string(bytes - 1, 'x')});
}

// What a proxy does with a shard that sends as fast as it can: reads messages while there is room,
// and flushes a lot a turn.
struct Flood {
  PendingUpdates pending{};
  std::size_t copied = 0;  // by streams, until the next flush
  bool paused = false;
  std::int64_t stamp = 0;
  std::size_t highest_bytes = 0;
  std::size_t highest_updates = 0;

  void read(const std::vector<keyspace::UpdatePtr>& message, std::size_t copies) {
    for (const keyspace::UpdatePtr& update : message) {
      pending.push({.stamp = ++stamp, .update = update});
      copied += copies * update->bytes();
    }
    highest_bytes = std::max(highest_bytes, pending.bytes() + copied);
    highest_updates = std::max(highest_updates, pending.size());
    paused |= pending.full(copied);
  }
  void turn(const std::vector<keyspace::UpdatePtr>& message, std::size_t copies) {
    for (int i = 0; i < 256 && !paused; ++i) read(message, copies);
    pending.pop_front();
    copied = 0;
    if (pending.has_room(copied)) paused = false;
  }
};

void check(std::size_t updates, std::size_t bytes, std::size_t copies) {
  const std::vector<keyspace::UpdatePtr> message(updates, update_of(bytes));
  Flood flood;
  for (int turn = 0; turn < 50; ++turn) flood.turn(message, copies);
  const std::size_t one = updates * (bytes * (1 + copies) + PendingUpdates::update_overhead);
  EXPECT_LT(flood.highest_bytes, PendingUpdates::max_bytes + one);
  EXPECT_LT(flood.highest_updates, PendingUpdates::max_updates + updates);
}

TEST(PendingUpdates, AFloodStaysWithinTheBoundAndOneMessage) {
  check(2000, 120, 0);
  check(16'384, 2, 0);
  check(1, 1 << 20, 0);
  check(2000, 120, 4);
}

TEST(PendingUpdates, ReadingGoesOnWhenHalfHasLeft) {
  PendingUpdates pending;
  while (!pending.full(0)) pending.push({.update = update_of(1000)});
  EXPECT_FALSE(pending.has_room(0));
  int flushes = 0;
  for (; !pending.has_room(0); ++flushes) pending.pop_front();
  EXPECT_GT(flushes, 1);
  EXPECT_GT(pending.bytes(), PendingUpdates::max_bytes / 4);
  EXPECT_FALSE(pending.has_room(PendingUpdates::max_bytes)) << "what streams hold counts";
  EXPECT_TRUE(pending.full(PendingUpdates::max_bytes));
}

TEST(PendingUpdates, LeavesInOrderAndLots) {
  PendingUpdates pending;
  constexpr std::size_t count = 2 * PendingUpdates::lot_updates + 1;
  const auto update = update_of(10);
  for (std::size_t i = 1; i <= count; ++i) {
    pending.push({.stamp = static_cast<std::int64_t>(i), .update = update});
  }
  EXPECT_EQ(pending.size(), count);
  std::int64_t last = 0;
  std::size_t lots = 0;
  for (; !pending.empty(); pending.pop_front(), ++lots) {
    EXPECT_LE(pending.front().size(), PendingUpdates::lot_updates);
    for (const Stamped& stamped : pending.front()) EXPECT_EQ(stamped.stamp, ++last);
  }
  EXPECT_EQ(lots, 3u);
  EXPECT_EQ(last, static_cast<std::int64_t>(count));
  EXPECT_EQ(pending.size(), 0u);
  EXPECT_EQ(pending.bytes(), 0u);
  EXPECT_TRUE(pending.front().empty());
  EXPECT_EQ(update.use_count(), 1) << "nothing is kept of what has left";
}

TEST(PendingUpdates, ALotIsBoundedInBytes) {
  PendingUpdates pending;
  for (int i = 0; i < 20; ++i) pending.push({.update = update_of(1 << 20)});
  for (; !pending.empty(); pending.pop_front()) EXPECT_LE(pending.front().size(), 4u);
}

// The second lot stays where it is while the first leaves.
TEST(PendingUpdates, NothingIsMovedWhenALotLeaves) {
  PendingUpdates pending;
  const auto update = update_of(10);
  for (std::size_t i = 0; i < 3 * PendingUpdates::lot_updates; ++i)
    pending.push({.update = update});
  const Stamped* last = &pending.front().back();
  pending.pop_front();
  const Stamped* second = pending.front().data();
  EXPECT_NE(second, last + 1);
  pending.push({.update = update});
  EXPECT_EQ(pending.front().data(), second);
}

}  // namespace
}  // namespace canopy::proxy
