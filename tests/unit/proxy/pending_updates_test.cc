#include "proxy/pending_updates.h"

#include <gtest/gtest.h>

#include "core/wire/entry.h"

namespace canopy::proxy {
namespace {

TEST(PendingUpdates, LeaveInOrderAndAreCountedInBytes) {
  PendingUpdates pending;
  const auto update = wire::make_update({.key = "k", .value = "12345"});
  for (std::int64_t stamp = 1; stamp <= 1000; ++stamp) {
    pending.push({.stamp = stamp, .update = update});
  }
  EXPECT_EQ(pending.size(), 1000u);
  EXPECT_EQ(pending.bytes(), 1000 * (update->bytes() + PendingUpdates::update_overhead));
  for (std::int64_t stamp = 1; !pending.empty(); ++stamp) {
    EXPECT_EQ(pending.front().stamp, stamp);
    pending.pop_front();
  }
  EXPECT_EQ(pending.bytes(), 0u);
  EXPECT_EQ(update.use_count(), 1) << "nothing is kept of what has left";
}

}  // namespace
}  // namespace canopy::proxy
