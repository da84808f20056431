// In every order of events a committed entry is the same in every replica, and stays.
#include <random>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using keyspace::Revision;

class RandomWorld : private Replicas {
 public:
  void play(unsigned seed) {
    random_.seed(seed);
    place({"s1", "s2", "s3"}, 1 + seed % 2);
    for (auto& [shard, node] : nodes_) {
      node.settings.log.updates = 5 + seed % 20;
      node.settings.prefer_after = 3s;
      node.stores = false;
    }
    start_all();
    for (int step = 0; step < 1000; ++step) {
      act("s" + std::to_string(1 + random_() % 3));
      check();
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "seed " << seed << ", step " << step;
        return;
      }
    }
    settle();
    check();
    ASSERT_TRUE(leads("s1")) << seed;
    ASSERT_EQ(in_sync().size(), 3u) << seed;
    for (const char* shard : {"s1", "s2", "s3"}) {
      ASSERT_EQ(replica(shard).committed(), replica(shard).log().last()) << seed << shard;
      ASSERT_EQ(keys(shard), keys("s1")) << seed << shard;
    }
    // Entries that a store committed as it stored them, before its process ended, may be
    // unpublished.
    for (const auto& [revision, update] : agreed_) {
      ASSERT_NE(replica("s1").tree().find(update->key), nullptr) << seed << " " << update->key;
    }
  }

  std::size_t agreed() const { return agreed_.size(); }

 private:
  void act(const std::string& shard) {
    Node& at = node(shard);
    const unsigned what = static_cast<unsigned>(random_() % 100);
    if (!at.replica) {
      if (what < 20) boot(shard, !member(shard) && what < 5);
    } else if (what < 30) {
      if (leads(shard) && replica(shard).enough_in_sync()) {
        std::vector<std::string> values(1 + random_() % 3);
        for (std::string& value : values) value = "v" + std::to_string(random_() % 100'000);
        write(shard, values, ++requests_);
      }
    } else if (what < 45) {
      store(shard, 1 + random_() % 6);
    } else if (what < 70) {
      deliver(shard);
    } else if (what < 80) {
      decide(shard);
    } else if (what < 86) {
      now_ += std::chrono::milliseconds(random_() % 400);
      for (const auto& [each, node] : nodes_) {
        call(each, [&](Replica& one, auto& out) { one.tick(now_, out); });
      }
    } else if (what < 90) {
      at.linked ? isolate(shard) : rejoin(shard);
    } else if (what < 93) {
      at.hears = !at.hears;
      tell_record(shard);
    } else if (what < 95) {
      at.informed = !at.informed;
      if (at.informed) inform(shard);
    } else if (what < 97) {
      alive_.contains(shard) ? expire(shard) : revive(shard);
    } else if (what < 99) {
      crash(shard, what == 97);
    } else {
      run();
    }
  }
  void rejoin(const std::string& shard) {
    node(shard).linked = true;
    for (const auto& [other, peer] : nodes_) {
      if (other != shard && peer.replica && peer.linked) link(shard, other, true);
    }
  }
  void revive(const std::string& shard) {
    alive_.insert(shard);
    tell_alive();
  }
  // The store may have carried out some of its operations, and the coordinator the proposal.
  void crash(const std::string& shard, bool expires) {
    Node& at = node(shard);
    if (random_() % 2 == 0) decide(shard);
    store(shard, random_() % (at.storing.size() + 1));
    end(shard, expires);
  }
  bool member(const std::string& shard) const {
    return std::ranges::any_of(in_sync(), [&](const auto& each) { return each.shard == shard; });
  }
  // All faults end.
  void settle() {
    for (auto& [shard, node] : nodes_) {
      node.stores = node.hears = node.informed = node.linked = true;
      if (!node.replica) start(shard);
      revive(shard);
    }
    for (const auto& [shard, node] : nodes_) {
      rejoin(shard);
      inform(shard);
    }
    for (auto& [shard, node] : nodes_) tell_record(shard);
    pass(15s);
  }
  void check() {
    for (auto& [shard, node] : nodes_) {
      for (const auto& update : std::exchange(node.committed, {})) {
        const auto known = agreed_.emplace(update->revision, update).first->second;
        ASSERT_EQ(known->value, update->value) << shard << " " << update->revision.value();
      }
    }
  }

  std::mt19937 random_;
  std::uint64_t requests_ = 0;
  std::map<Revision, keyspace::UpdatePtr> agreed_;
};

TEST(ReplicaRandomTest, WhatIsCommittedIsTheSameEverywhereAndStays) {
  std::size_t committed = 0;
  for (unsigned seed = 1; seed <= 250 && !testing::Test::HasFailure(); ++seed) {
    RandomWorld world;
    world.play(seed);
    committed += world.agreed();
  }
  EXPECT_GT(committed, 5'000u);
}

}  // namespace
}  // namespace canopy::cluster
