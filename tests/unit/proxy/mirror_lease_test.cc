// Subscriptions and waiting requests keep their mirrors, however long the proxy stood still and
// however short `mirror_keep_ms` is.
#include "proxy/mirror_lease.h"

#include <gtest/gtest.h>

#include "tests/unit/proxy/clone_world.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;

class MirrorLeaseTest : public testing::TestWithParam<base::Duration> {
 protected:
  // As a proxy's tick does.
  bool alive() {
    alive_ = alive_ && !leases_.expired(0, now_, GetParam());
    return alive_;
  }
  void run(base::Duration time) {
    for (const base::TimePoint end = now_ + time; now_ < end; now_ += 50ms) alive();
  }
  void stand_still(base::Duration time) { now_ += time; }
  // From here on nothing holds the mirror.
  void expect_kept_and_dropped() {
    EXPECT_TRUE(alive_);
    if (GetParam() > 0ms) {
      EXPECT_TRUE(alive());
      now_ += GetParam() - 1ms;
      EXPECT_TRUE(alive());
      now_ += 1ms;
    }
    EXPECT_FALSE(alive());
  }
  MirrorLease lease() { return leases_.hold("", {0, 2}); }
  // Everything that could drop it.
  void live_on() {
    run(3s);
    stand_still(63s);
    run(3s);
    ASSERT_TRUE(alive());
  }

  MirrorLeases leases_;
  base::TimePoint now_{1h};
  bool alive_ = true;
};

TEST_P(MirrorLeaseTest, ASubscriptionOfACloneClient) {
  PrefixGroups groups([this](std::string_view) { return lease(); });
  PrefixGroups::Subscriber one;
  PrefixGroups::Subscriber other;
  groups.add(one, "/a/");
  groups.add(other, "/a/");
  live_on();
  groups.leave(one);
  live_on();
  groups.remove(other, "/a/");
  expect_kept_and_dropped();
}

TEST_P(MirrorLeaseTest, ASnapshotOfACloneClientFromRequestToEnd) {
  CloneWorld world;
  world.backend.lent = [this] { return lease(); };
  auto snapshot = world.connect(Role::snapshot);
  snapshot->say({"ICANHAZ?"});
  world.settle();
  live_on();  // the mirror is not there yet
  world.sync();
  for (int i = 0; i < 10'000; ++i) world.put("/" + std::to_string(i), std::string(200, 'v'));
  world.settle();
  live_on();  // its client does not read
  while (!snapshot->read().empty()) world.settle();
  expect_kept_and_dropped();
}

TEST_P(MirrorLeaseTest, CountsFromTheLastRelease) {
  MirrorLease first = lease();
  {
    MirrorLease second = lease();
    first = std::move(second);
  }
  live_on();
  const MirrorLease moved = std::move(first);
  live_on();
  MirrorLease again;
  if (GetParam() > 0ms) {
    { const MirrorLease ended = lease(); }
    run(GetParam() / 2);
    again = lease();
    live_on();
  }
}

INSTANTIATE_TEST_SUITE_P(Keeps, MirrorLeaseTest,
                         testing::Values(base::Duration{0}, 100ms, 900ms, 60s));

}  // namespace
}  // namespace canopy::proxy
