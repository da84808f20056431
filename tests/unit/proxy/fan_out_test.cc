#include "proxy/fan_out.h"

#include <gtest/gtest.h>

#include "core/wire/entry.h"
#include "proxy/pending_updates.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
constexpr base::TimePoint start{1h};

// Gathers everything; a flush sends 4,096 updates.
class Gathering final : public Frontend {
 public:
  explicit Gathering(base::Duration& cpu) : cpu_(cpu) {}

  std::vector<Opening> openings() override { return {}; }
  void announce(wire::ProxyMember&, const std::vector<config::Endpoint>&) const override {}
  void apply(const Stamped& stamped) override {
    if (takes) pending.push(stamped);
  }
  std::size_t gathered() const override { return pending.size(); }
  std::size_t gathered_bytes() const override { return pending.bytes(); }
  bool flush(base::TimePoint) override {
    ++flushes;
    cpu_ += cost;
    for (int i = 0; i < 4096 && !pending.empty(); ++i) pending.pop_front();
    return !pending.empty();
  }
  std::optional<base::Duration> serve(base::TimePoint) override { return std::nullopt; }
  wire::native::ClientInfo describe(const net::Connection&) const override { return {}; }
  std::uint64_t missed() const override { return 0; }

  PendingUpdates pending;
  bool takes = true;
  base::Duration cost{};
  int flushes = 0;

 private:
  base::Duration& cpu_;
};

class FanOutTest : public testing::Test {
 protected:
  FanOutTest() {
    config.max_linger = 20ms;
    config.publish_share = 10;
    std::vector<std::unique_ptr<Frontend>> frontends;
    for (Gathering** each : {&one, &other}) {
      auto made = std::make_unique<Gathering>(cpu);
      *each = made.get();
      frontends.push_back(std::move(made));
    }
    fan_out.emplace(
        std::move(frontends), config, metrics,
        FanOut::Io{.send = [this] { cpu += sending; }, .cpu_time = [this] { return cpu; }});
  }
  void apply(std::size_t bytes = 10) {
    const std::string value(bytes, 'x');
    const auto update = wire::make_update({.key = "k", .value = value});
    fan_out->apply({.stamp = ++stamp, .update = update, .committed = start});
  }

  config::Proxy config;
  Metrics metrics{"p1"};
  base::Duration cpu{};
  base::Duration sending{};
  std::int64_t stamp = 0;
  Gathering* one = nullptr;
  Gathering* other = nullptr;
  std::optional<FanOut> fan_out;
};

TEST_F(FanOutTest, EachFrontendHasThePaceOfItsOwnCost) {
  one->cost = 1ms;
  other->cost = 100us;
  base::TimePoint now = start;
  for (int i = 0; i < 20; ++i) {
    apply();
    fan_out->flush(now, true);
    fan_out->measure({.ran = cpu});
    now += 1s;
  }
  cpu += 500ms;  // other work
  fan_out->measure({.ran = cpu});
  EXPECT_EQ(fan_out->interval(), 10ms) << "a tenth of a core affords 1 ms each 10 ms";
  apply();
  EXPECT_EQ(fan_out->flush(now, false), std::nullopt) << "at once after a pause";
  apply();
  const int flushes_of_one = one->flushes;
  const int flushes_of_other = other->flushes;
  EXPECT_EQ(fan_out->flush(now, false), 1ms);
  EXPECT_EQ(fan_out->flush(now + 1ms, false), 9ms);
  EXPECT_EQ(other->flushes, flushes_of_other + 1);
  EXPECT_EQ(one->flushes, flushes_of_one);
  EXPECT_EQ(fan_out->flush(now + 10ms, false), std::nullopt);
  EXPECT_EQ(one->flushes, flushes_of_one + 1);
}

TEST_F(FanOutTest, SendingIsPartOfTheCost) {
  sending = 1ms;
  other->takes = false;
  for (int i = 0; i < 20; ++i) {
    apply();
    fan_out->flush(start + i * 1s, true);
    fan_out->measure({.ran = cpu});
  }
  EXPECT_EQ(fan_out->interval(), 10ms);
  EXPECT_EQ(other->flushes, 0) << "it has nothing";
}

// A shard sends as fast as it can: one message at a time while there is room, then a flush.
void check_flood(FanOut& fan_out, const std::function<void()>& apply, std::size_t message,
                 std::size_t cost) {
  bool paused = false;
  for (int turn = 0; turn < 60; ++turn) {
    for (int i = 0; i < 256 && !paused; ++i) {
      for (std::size_t each = 0; each < message; ++each) apply();
      paused = fan_out.full();
    }
    EXPECT_LT(fan_out.bytes(), FanOut::max_bytes + 2 * message * cost);
    fan_out.flush(start, true);
    if (fan_out.has_room()) paused = false;
  }
}

TEST_F(FanOutTest, AFloodStaysWithinTheBoundAndOneMessage) {
  check_flood(
      *fan_out, [&] { apply(120); }, 2000, 121 + PendingUpdates::update_overhead);
  check_flood(
      *fan_out, [&] { apply(1 << 20); }, 1, (1 << 20) + PendingUpdates::update_overhead + 1);
}

TEST_F(FanOutTest, ReadingGoesOnWhenHalfHasLeft) {
  while (!fan_out->full()) apply(1000);
  EXPECT_FALSE(fan_out->has_room());
  int flushes = 0;
  for (; !fan_out->has_room(); ++flushes) EXPECT_EQ(fan_out->flush(start, true), base::Duration{0});
  EXPECT_GT(flushes, 1);
  EXPECT_GT(fan_out->bytes(), FanOut::max_bytes / 4);
  fan_out->finish(start);
  EXPECT_EQ(fan_out->bytes(), 0u);
}

}  // namespace
}  // namespace canopy::proxy
