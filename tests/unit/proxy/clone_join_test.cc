// A Clone client ends with the exact state, in whatever order its snapshot request and its
// subscription arrive.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/proxy/clone_world.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;

class JoiningClient {
 public:
  JoiningClient(CloneWorld& world, std::string prefix)
      : world_(world),
        prefix_(std::move(prefix)),
        snapshot_(world.connect(Role::snapshot)),
        updates_(world.connect(Role::updates)) {}

  void request() {
    if (!std::exchange(requested_, true)) snapshot_->say({"ICANHAZ?", prefix_});
  }
  void subscribe() {
    if (!std::exchange(subscribed_, true)) updates_->subscribe(prefix_);
  }
  void read(std::size_t bytes = SIZE_MAX) {
    client_.on_snapshot(snapshot_->read(bytes));
    client_.on_updates(updates_->read(bytes));
  }
  void check() {
    std::map<std::string, std::string> expected;
    for (const std::size_t partition : world_.backend.mirrored.covering(prefix_)) {
      const auto view = world_.backend.mirrored.mirror(partition)->tree().view();
      for (auto at = view.seek(prefix_); !at.done() && (*at)->key.starts_with(prefix_); at.next()) {
        expected[std::string((*at)->key)] = (*at)->value;
      }
    }
    EXPECT_TRUE(client_.complete);
    EXPECT_EQ(client_.map, expected) << "of prefix '" << prefix_ << "'";
  }
  const GuideClient& state() const { return client_; }

 private:
  CloneWorld& world_;
  std::string prefix_;
  std::unique_ptr<Wire> snapshot_;
  std::unique_ptr<Wire> updates_;
  GuideClient client_;
  bool requested_ = false;
  bool subscribed_ = false;
};

// Writes, deletions, requests, subscriptions, flushes and slow readers in any order; with `splits`
// two of the partitions are split off meanwhile.
class RandomJoins {
 public:
  RandomJoins(unsigned seed, bool splits)
      : random_(seed),
        // With many keys a walk takes several turns, between which they change.
        keys_(seed % 3 == 0 ? 1500 : 60),
        world_(splits ? std::vector<std::string>{""}
                      : std::vector<std::string>{"", "/a/", "/a/b/"}) {
    if (splits) to_split_ = {"/a/b/", "/a/"};
    world_.backend.config.client_queue_bytes = std::size_t{64} << 20;
    // Small marks: snapshots and catch-ups stop and go on.
    if (draw(2) == 0) world_.backend.config.client_queue_bytes = 12'000;
    world_.sync();
    for (std::size_t i = 0; i < 2 * keys_; ++i) world_.put(key(), std::to_string(random_()));
    world_.settle();
    static const std::vector<std::string> prefixes{"", "/", "/a", "/a/", "/a/b/", "/c/1", "x"};
    for (int i = 0; i < 6; ++i) {
      clients_.push_back(std::make_unique<JoiningClient>(world_, prefixes[draw(prefixes.size())]));
    }
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step(*clients_[draw(clients_.size())]);
      for (auto& each : clients_) {
        if (draw(4) == 0) each->read();
      }
    }
  }
  void finish() {
    if (!to_begin_.empty()) split();
    for (auto& client : clients_) {
      client->subscribe();
      client->request();
      write();
    }
    for (int i = 0; i < 200; ++i) {
      world_.settle();
      for (auto& client : clients_) client->read();
      world_.backend.time += 20ms;
    }
    ASSERT_EQ(world_.frontend().missed(), 0u);
    for (auto& client : clients_) client->check();
  }

 private:
  std::size_t draw(std::size_t bound) { return random_() % bound; }
  std::string key() {
    static const std::vector<std::string> stems{"/", "/a/", "/a/b/", "/c/", "x"};
    return stems[draw(stems.size())] + std::to_string(draw(keys_));
  }
  void write() {
    const std::string where = key();
    const auto& mirrored = world_.backend.mirrored;
    if (!mirrored.mirror(mirrored.owner(where))->ready()) return;
    world_.put(where, draw(3) == 0 ? "" : std::to_string(random_()));
  }
  void split() {
    if (!to_begin_.empty()) {
      world_.backend.mirrored.begin(to_begin_.back());
      to_begin_.clear();
    } else if (!to_split_.empty()) {
      const auto made = world_.backend.mirrored.split(to_split_.back());
      world_.frontend().divide(made.whole, made.part, made.known);
      to_begin_ = {made.part};
      to_split_.pop_back();
    }
  }
  void step(JoiningClient& client) {
    switch (draw(16)) {
      case 0: return client.request();
      case 1:
        client.subscribe();
        if (draw(2) == 0) world_.frontend().serve(world_.backend.time);
        return;
      case 2: return world_.flush();
      case 3: world_.frontend().serve(world_.backend.time); return;
      case 4: return client.read(draw(2000));
      case 5: world_.backend.time += 10ms; return;
      case 6:
        if (draw(4) == 0) split();
        return;
      default:
        // No more than the queues hold: nothing is dropped.
        if (world_.frontend().gathered() < 20) write();
    }
  }

  std::mt19937 random_;
  std::size_t keys_;
  CloneWorld world_;
  std::vector<std::unique_ptr<JoiningClient>> clients_;
  std::vector<std::string> to_split_;
  std::vector<std::size_t> to_begin_;
};

void join_at_random(unsigned seed, bool splits) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomJoins joins(seed, splits);
  joins.run(400);
  joins.finish();
}

TEST(CloneJoin, IsExactInAnyOrder) {
  for (unsigned seed = 0; seed < 90 && !testing::Test::HasFailure(); ++seed) {
    join_at_random(seed, false);
  }
}

TEST(CloneJoin, IsExactWhileAPartitionIsSplit) {
  for (unsigned seed = 0; seed < 90 && !testing::Test::HasFailure(); ++seed) {
    join_at_random(seed, true);
  }
}

class CloneCatchUp : public testing::Test {
 protected:
  void SetUp() override {
    world.sync();
    for (int i = 0; i < 100; ++i) world.put("/a/" + std::to_string(i), "first");
    world.settle();
  }
  void take_snapshot(const std::string& prefix) {
    const auto snapshot = world.connect(Role::snapshot);
    snapshot->say({"ICANHAZ?", prefix});
    world.settle();
    ASSERT_FALSE(snapshot->read().empty());
  }
  std::vector<Message> received(Wire& updates, std::string_view prefix) {
    updates.subscribe(prefix);
    world.settle();
    return updates.read();
  }

  CloneWorld world{{"", "/b/"}};
};

TEST_F(CloneCatchUp, SendsChangesSinceTheCutUnderNewStamps) {
  take_snapshot("/a/");
  const std::int64_t cut = world.backend.stamp;
  world.put("/a/1", "second");
  world.put("/a/1", "third");
  world.put("/a/2", "");
  world.put("/b/1", "other");
  world.flush();
  const std::int64_t before = world.backend.stamp;
  auto updates = world.connect(Role::updates);
  const auto messages = received(*updates, "/a/");
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].front(), "/a/2");
  EXPECT_EQ(messages[0].back(), "");
  EXPECT_EQ(messages[1].front(), "/a/1");
  EXPECT_EQ(messages[1].back(), "third");
  EXPECT_GT(GuideClient::sequence_of(messages[0]), before);
  EXPECT_GT(GuideClient::sequence_of(messages[1]), GuideClient::sequence_of(messages[0]));
  EXPECT_GT(before, cut);
}

TEST_F(CloneCatchUp, CostsNothingBeforeAnySnapshotAndAfterTheWindow) {
  auto early = world.connect(Role::updates);
  world.put("/a/1", "second");
  world.flush();
  EXPECT_TRUE(received(*early, "/a/").empty());
  take_snapshot("/a/");
  world.put("/a/1", "third");
  world.flush();
  EXPECT_EQ(early->read().size(), 1u);
  world.backend.time += RecentCuts::window + 2 * RecentCuts::merged;
  auto late = world.connect(Role::updates);
  EXPECT_TRUE(received(*late, "/a/").empty());
  auto elsewhere = world.connect(Role::updates);
  take_snapshot("/a/1");
  world.put("/a/2", "changed");
  world.flush();
  EXPECT_TRUE(received(*elsewhere, "/a/2").empty()) << "the snapshot had none of its keys";
}

TEST_F(CloneCatchUp, AfterANewHistoryTheWholePartitionIsSent) {
  take_snapshot("/a/");
  world.apply(world.backend.mirrored.sync(0, 1), 0);  // a new leader with an empty log
  world.put("/a/7", "anew");                          // under a revision that was used before
  world.flush();
  auto updates = world.connect(Role::updates);
  const auto messages = received(*updates, "/a/");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].front(), "/a/7");
  EXPECT_EQ(messages[0].back(), "anew");
}

TEST_F(CloneCatchUp, ExaminesABoundedNumberOfEntriesATurn) {
  for (int i = 0; i < 20'000; ++i) world.put("/many/" + std::to_string(i), "v");
  world.settle();
  take_snapshot("");
  auto updates = world.connect(Role::updates);
  updates->subscribe("");
  int turns = 0;
  while (world.frontend().serve(world.backend.time)) ++turns;
  EXPECT_GE(turns, 20'000 / static_cast<int>(CloneCatchUps::entries_per_turn));
  EXPECT_TRUE(updates->read().empty()) << "nothing has changed";
}

TEST_F(CloneCatchUp, GoesOnWhereTheQueueWasFull) {
  world.backend.config.client_queue_bytes = 5000;
  CloneWorld small{{""}};
  small.backend.config.client_queue_bytes = 5000;
  small.sync();
  auto snapshot = small.connect(Role::snapshot);
  snapshot->say({"ICANHAZ?"});
  small.settle();
  for (int i = 0; i < 500; ++i) {
    small.put("/" + std::to_string(i), std::string(50, 'v'));
    small.flush();
  }
  auto updates = small.connect(Role::updates);
  updates->subscribe("");
  std::map<std::string, std::string> map;
  for (int i = 0; i < 100 && map.size() < 500; ++i) {
    small.settle();
    EXPECT_LT(updates->queued_bytes(), 5100u);
    for (const Message& message : updates->read()) map[message.front()] = message.back();
  }
  EXPECT_EQ(map.size(), 500u);
}

}  // namespace
}  // namespace canopy::proxy
