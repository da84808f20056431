#include "proxy/pending_updates.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/wire/entry.h"

namespace canopy::proxy {
namespace {

keyspace::UpdatePtr update_of(std::size_t bytes) {
  return wire::make_update({.key = "k", .value = std::string(bytes - 1, 'x')});
}

TEST(PendingUpdates, LeavesInOrderAndLots) {
  PendingUpdates pending;
  constexpr std::size_t count = 2 * PendingUpdates::lot_updates + 1;
  const auto update = update_of(10);
  for (std::size_t i = 1; i <= count; ++i) {
    pending.push({{.stamp = static_cast<std::int64_t>(i), .update = update}});
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
  for (int i = 0; i < 20; ++i) pending.push({{.update = update_of(1 << 20)}});
  for (; !pending.empty(); pending.pop_front()) EXPECT_LE(pending.front().size(), 4u);
}

// The second lot stays where it is while the first leaves.
TEST(PendingUpdates, NothingIsMovedWhenALotLeaves) {
  PendingUpdates pending;
  const auto update = update_of(10);
  for (std::size_t i = 0; i < 3 * PendingUpdates::lot_updates; ++i)
    pending.push({{.update = update}});
  const PendingUpdate* last = &pending.front().back();
  pending.pop_front();
  const PendingUpdate* second = pending.front().data();
  EXPECT_NE(second, last + 1);
  pending.push({{.update = update}});
  EXPECT_EQ(pending.front().data(), second);
}

}  // namespace
}  // namespace canopy::proxy
