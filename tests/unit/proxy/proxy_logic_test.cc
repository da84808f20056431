#include <gtest/gtest.h>

#include <set>

#include "core/wire/entry.h"
#include "proxy/admission.h"
#include "proxy/compression.h"
#include "proxy/flush_pacer.h"
#include "proxy/snapshots.h"
#include "proxy/subscriptions.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
constexpr base::TimePoint start{1h};

TEST(Admission, EveryRoleAdmitsAtMostMaxClients) {
  Admission admission(2);
  for (const Role role : roles) EXPECT_EQ(admission.room(role, start), 2u);
  admission.set_connections(Role::snapshot, 2, start);
  EXPECT_TRUE(admission.full());
  EXPECT_EQ(admission.room(Role::snapshot, start), 0u);
  // Those already half in complete their three connections.
  EXPECT_EQ(admission.room(Role::updates, start), 2u);
  admission.set_connections(Role::updates, 2, start + 1ms);
  admission.set_connections(Role::collector, 1, start + 1ms);
  EXPECT_EQ(admission.room(Role::updates, start + 1ms), 0u);
  EXPECT_EQ(admission.room(Role::collector, start + 1ms), 1u);
  EXPECT_EQ(admission.clients(), 2u);
}

TEST(Admission, ClosesWhatNobodyCompletes) {
  Admission admission(2);
  admission.set_connections(Role::updates, 2, start);
  EXPECT_EQ(admission.room(Role::snapshot, start + Admission::catch_up - 1ms), 2u);
  EXPECT_EQ(admission.room(Role::snapshot, start + Admission::catch_up), 0u);
}

TEST(Admission, OpensAgainWhenSomebodyLeaves) {
  Admission admission(2);
  admission.set_connections(Role::snapshot, 2, start);
  admission.set_connections(Role::snapshot, 1, start + 1s);
  EXPECT_FALSE(admission.full());
  for (const Role role : roles) EXPECT_GT(admission.room(role, start + 10s), 0u);
  admission.close();
  for (const Role role : roles) EXPECT_EQ(admission.room(role, start + 10s), 0u);
}

TEST(FlushPacer, SendsAtOnceAfterAPauseAndElseOncePerInterval) {
  FlushPacer pacer(20ms, 0.1);
  EXPECT_EQ(pacer.wait(start, 1), 0ms);
  pacer.flushed(start);
  EXPECT_EQ(pacer.wait(start, 1), 0ms) << "nothing is known of the cost yet";
  pacer.flushed(start);
  pacer.measure({.ran = 2ms});  // a flush cost 1 ms: a tenth of a core affords one every 10 ms
  EXPECT_EQ(pacer.interval(), 10ms);
  EXPECT_EQ(pacer.wait(start + 4ms, 1), 10ms) << "it begins with the first that waits";
  EXPECT_EQ(pacer.wait(start + 11ms, 1), 3ms) << "who comes later leaves with it";
  EXPECT_EQ(pacer.wait(start + 15ms, 1), 0ms);
  pacer.flushed(start + 15ms);
  EXPECT_EQ(pacer.wait(start + 24ms, 1), 10ms);
  pacer.flushed(start + 34ms);
  EXPECT_EQ(pacer.wait(start + 44ms, 1), 0ms) << "nothing came for an interval";
}

TEST(FlushPacer, LetsLargeBatchesGoSooner) {
  FlushPacer pacer(20ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 1ms});
  ASSERT_EQ(pacer.interval(), 10ms);
  EXPECT_EQ(pacer.wait(start + 4ms, 1), 10ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::plenty - 1), 9ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::plenty), 5ms);
  EXPECT_EQ(pacer.wait(start + 5ms, FlushPacer::most), 0ms);
}

TEST(FlushPacer, FollowsTheCostWithinItsBounds) {
  FlushPacer pacer(20ms, 0.1);
  base::Duration cpu{};
  const auto flush_at_cost = [&](base::Duration cost) {
    pacer.flushed(start);
    pacer.measure({.ran = cpu += cost});
  };
  flush_at_cost(3ms);
  EXPECT_EQ(pacer.interval(), 17ms)
      << "30 ms would be more than latency allows, as would 20 and a flush";
  for (int i = 0; i < 50; ++i) flush_at_cost(10ms);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000 / FlushPacer::most_share, 100)
      << "beyond most_share of a core it is the CPU that all would wait for";
  for (int i = 0; i < 50; ++i) flush_at_cost(30ms);
  EXPECT_EQ(pacer.interval(), 60ms) << "three times the bound";
  for (int i = 0; i < 50; ++i) flush_at_cost(90ms);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 90'000, 100)
      << "one flush after another";
  for (int i = 0; i < 50; ++i) flush_at_cost(100us);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 1000, 10);
  const auto settled = pacer.interval();
  pacer.measure({.ran = cpu += 1s});  // work of another kind, without a flush, is nothing to it
  EXPECT_EQ(pacer.interval(), settled);
  flush_at_cost(100us);
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 1000, 10);
}

TEST(FlushPacer, CountsWhatItWaitsForACoreWhereThatIsMore) {
  FlushPacer pacer(20ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 500us, .waited = 100us});
  EXPECT_EQ(pacer.interval(), 5ms);
  for (int i = 1; i <= 50; ++i) {
    pacer.flushed(start);
    pacer.measure({.ran = 500us + i * 500us, .waited = 100us + i * 1ms});
  }
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000, 100);
  const auto settled = pacer.interval();
  pacer.flushed(start);
  pacer.measure({.ran = 26ms + 500us, .waited = {}});  // its threads could not be looked at
  pacer.flushed(start);
  pacer.measure({.ran = 27ms + 500us, .waited = 50ms + 200us});
  EXPECT_LE(pacer.interval(), settled) << "what was waited before is not waited again";
}

TEST(FlushPacer, OtherWorkIsNoCostOfAFlush) {
  FlushPacer pacer(20ms, 0.1);
  base::Duration other{};
  for (int i = 1; i <= 50; ++i) {
    pacer.flushed(start);
    other += 199ms;
    pacer.measure({.ran = i * 200ms, .waited = i * 100ms}, other);
  }
  EXPECT_NEAR(static_cast<double>(pacer.interval().count()), 10'000, 100)
      << "a flush cost 1 ms, and waited half of that";
}

TEST(FlushPacer, NeverGathersWhereNoLatencyIsAllowed) {
  FlushPacer pacer(0ms, 0.1);
  pacer.flushed(start);
  pacer.measure({.ran = 10ms});
  EXPECT_EQ(pacer.wait(start, 1), 0ms);
}

TEST(Compression, IsTriedNowAndThenAndUsedWhileItPays) {
  Compression compression;
  EXPECT_FALSE(compression.worth_trying(Compression::least_bytes - 1, 1000));
  ASSERT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_TRUE(compression.tried(10'000, 2'000, 1000)) << "it saves 80 % for a thousand";
  EXPECT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_FALSE(compression.tried(10'000, 2'000, 5)) << "packing costs more than five can save";
  int tries = 0;
  for (unsigned i = 0; i < 10 * Compression::probe_every; ++i) {
    tries += compression.worth_trying(10'000, 5);
  }
  EXPECT_EQ(tries, 10);
}

TEST(Compression, GivesUpOnWhatDoesNotPack) {
  Compression compression;
  EXPECT_TRUE(compression.worth_trying(10'000, 1000));
  EXPECT_FALSE(compression.tried(10'000, 10'050, 1000));
  EXPECT_FALSE(compression.worth_trying(10'000, 1000));
}

TEST(Subscriptions, CountsWhatMatchesAKey) {
  Subscriptions subscriptions;
  EXPECT_TRUE(subscriptions.size() == 0);
  for (const char* topic : {"", "/a/", "/a/", "/a/b", "/c/"}) subscriptions.add(topic);
  EXPECT_EQ(subscriptions.matching("/a/b/1"), 4u);
  EXPECT_EQ(subscriptions.matching("/a/x"), 3u);
  EXPECT_EQ(subscriptions.matching("/"), 1u);
  subscriptions.remove("/a/");
  subscriptions.remove("");
  subscriptions.remove("never added");
  EXPECT_EQ(subscriptions.matching("/a/b/1"), 2u);
  EXPECT_EQ(subscriptions.matching("/x"), 0u);
  for (std::size_t i = 0; i <= Subscriptions::max_topics; ++i) {
    subscriptions.add("/many/" + std::to_string(i));
  }
  EXPECT_TRUE(subscriptions.overflowed());
  EXPECT_LE(subscriptions.size(), Subscriptions::max_topics);
}

class SnapshotsTest : public testing::Test {
 protected:
  void put(keyspace::Tree& tree, const std::string& key, const std::string& value = "v") {
    tree.put(wire::make_update({.key = key, .value = value}));
  }

  keyspace::Tree tree_;
  Snapshots snapshots_;
  std::vector<std::string> sent_;
  std::vector<std::string> results_;
  Delivery answer_ = Delivery::sent;
  std::set<PeerId> asleep_;
  Snapshots::Sink sink_{.entry =
                            [this](PeerId peer, const keyspace::Update& entry, std::int64_t) {
                              if (asleep_.contains(peer)) return Delivery::blocked;
                              if (answer_ == Delivery::sent)
                                sent_.push_back(std::to_string(peer).append(" ").append(entry.key));
                              return answer_;
                            },
                        .end =
                            [this](PeerId peer, const std::string& prefix, std::int64_t stamp) {
                              if (answer_ == Delivery::sent) {
                                sent_.push_back(std::to_string(peer) + " end " + prefix + " " +
                                                std::to_string(stamp));
                              }
                              return answer_;
                            },
                        .finished = [this](PeerId, const char* result,
                                           base::Duration) { results_.emplace_back(result); }};
};

TEST_F(SnapshotsTest, SendsThePrefixOfEveryPartitionAsItWasCut) {
  keyspace::Tree other;
  for (const char* key : {"/a/1", "/b/1", "/b/2", "/c/1"}) put(tree_, key);
  put(other, "/b/x/1");
  snapshots_.open(1, "/b/", {.stamp = 7, .views = {tree_.view(), other.view()}}, start);
  put(tree_, "/b/3");
  tree_.erase("/b/1");
  EXPECT_FALSE(snapshots_.send(sink_, start));
  EXPECT_EQ(sent_, (std::vector<std::string>{"1 /b/1", "1 /b/2", "1 /b/x/1", "1 end /b/ 7"}));
  EXPECT_EQ(results_, std::vector<std::string>{"sent"});
}

TEST_F(SnapshotsTest, LeavesOutEmptyValues) {
  put(tree_, "/1", "");
  put(tree_, "/2");
  put(tree_, "/3", "");
  snapshots_.open(1, "", {.stamp = 1, .views = {tree_.view()}}, start);
  EXPECT_FALSE(snapshots_.send(sink_, start));
  EXPECT_EQ(sent_, (std::vector<std::string>{"1 /2", "1 end  1"}));
}

TEST_F(SnapshotsTest, WhatIsLeftOutCountsAsWorkOfATurn) {
  for (int i = 0; i < 5000; ++i) put(tree_, "/" + std::to_string(i), "");
  snapshots_.open(1, "", {.stamp = 1, .views = {tree_.view()}}, start);
  EXPECT_TRUE(snapshots_.send(sink_, start));
  EXPECT_TRUE(snapshots_.send(sink_, start));
  EXPECT_FALSE(snapshots_.send(sink_, start));
  EXPECT_EQ(sent_, std::vector<std::string>{"1 end  1"});
}

TEST_F(SnapshotsTest, ResumesWhereAClientBlocked) {
  put(tree_, "/1");
  put(tree_, "/2");
  snapshots_.open(1, "", {.stamp = 1, .views = {tree_.view()}}, start);
  answer_ = Delivery::blocked;
  EXPECT_FALSE(snapshots_.send(sink_, start));
  answer_ = Delivery::sent;
  EXPECT_FALSE(snapshots_.send(sink_, start + 1s));
  EXPECT_EQ(sent_.size(), 3u);
}

TEST_F(SnapshotsTest, GivesUpOnTheGoneAndTheStuck) {
  put(tree_, "/1");
  snapshots_.open(1, "", {.stamp = 1, .views = {tree_.view()}}, start);
  answer_ = Delivery::gone;
  snapshots_.send(sink_, start);
  snapshots_.open(2, "", {.stamp = 1, .views = {tree_.view()}}, start);
  answer_ = Delivery::blocked;
  snapshots_.send(sink_, start + Snapshots::patience);
  EXPECT_EQ(snapshots_.size(), 1u);
  snapshots_.send(sink_, start + Snapshots::patience + 1s);
  EXPECT_EQ(snapshots_.size(), 0u);
  EXPECT_EQ(results_, (std::vector<std::string>{"client_gone", "timeout"}));
}

TEST_F(SnapshotsTest, AClientThatTakesNothingHoldsNoPlace) {
  put(tree_, "/1");
  for (PeerId peer = 1; peer <= 64; ++peer) {
    asleep_.insert(peer);
    snapshots_.open(peer, "", {.stamp = 1, .views = {tree_.view()}}, start);
  }
  EXPECT_EQ(snapshots_.active(), 64u);
  EXPECT_FALSE(snapshots_.send(sink_, start));
  EXPECT_EQ(snapshots_.active(), 0u);
  EXPECT_EQ(snapshots_.size(), 64u);
  asleep_.erase(5);
  EXPECT_FALSE(snapshots_.send(sink_, start + 1ms));
  EXPECT_EQ(sent_, (std::vector<std::string>{"5 /1", "5 end  1"}));
  EXPECT_FALSE(snapshots_.serves(5));
  EXPECT_TRUE(snapshots_.serves(6));
  snapshots_.drop(6);
  EXPECT_FALSE(snapshots_.serves(6));
  EXPECT_EQ(snapshots_.size(), 62u);
}

TEST_F(SnapshotsTest, SharesATurnBetweenClients) {
  for (int i = 0; i < 5000; ++i) put(tree_, "/" + std::to_string(i));
  snapshots_.open(1, "", {.stamp = 1, .views = {tree_.view()}}, start);
  snapshots_.open(2, "", {.stamp = 1, .views = {tree_.view()}}, start);
  EXPECT_TRUE(snapshots_.send(sink_, start));
  EXPECT_EQ(sent_.size(), Snapshots::entries_per_turn);
  EXPECT_EQ(std::ranges::count_if(sent_, [](const auto& line) { return line.front() == '1'; }),
            static_cast<std::ptrdiff_t>(Snapshots::entries_per_turn / 2));
}

TEST_F(SnapshotsTest, PartitionsWithoutAnEntryToSendCountToo) {
  const std::vector<keyspace::TreeView> empty(Snapshots::entries_per_turn, tree_.view());
  for (const PeerId peer : {1, 2}) {
    snapshots_.open(peer, "", {.stamp = 1, .views = empty}, start);
  }
  EXPECT_TRUE(snapshots_.send(sink_, start));
  EXPECT_TRUE(sent_.empty()) << "half of each in the first turn";
  while (snapshots_.send(sink_, start)) {
  }
  EXPECT_EQ(sent_, (std::vector<std::string>{"1 end  1", "2 end  1"}));
}

}  // namespace
}  // namespace canopy::proxy
