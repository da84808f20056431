// When a session leaves its proxy, and when not.
#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

using model::World;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr WatchId w = 1;

TEST(Liveness, ASilentProxyIsLost) {
  World world;
  world.watch(w, "");
  world.start();
  model::Proxy& first = world.linked();
  world.run(10s);
  EXPECT_THAT(world.connected, SizeIs(1)) << "heartbeats come";
  first.alive = false;
  world.run(2500ms);
  EXPECT_THAT(world.connected, SizeIs(1));
  world.run(2s);
  EXPECT_THAT(world.connected, SizeIs(2));
  EXPECT_THAT(world.contacts, ElementsAre(true, false, true));
}

TEST(Liveness, AProxyThatNeverSpeaksIsLeft) {
  World world;
  world.proxy(0).alive = world.proxy(1).alive = false;
  world.watch(w, "");
  world.start();
  world.run(30s);
  EXPECT_GE(world.connected.size(), 5u);
  EXPECT_THAT(world.contacts, IsEmpty());
  world.proxy(1).alive = true;
  world.run(30s);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(Synced::How::snapshot));
}

TEST(Liveness, AnIdleProxyIsAskedWhetherItLives) {
  World world;
  world.start();
  world.run(60s);
  EXPECT_THAT(world.connected, SizeIs(1));
  EXPECT_GE(world.linked().pings, 30);
  model::Proxy& first = world.linked();
  first.alive = false;
  world.run(5s);
  EXPECT_NE(&world.linked(), &first);
  EXPECT_THAT(world.contacts, ElementsAre(true, false, true));
}

TEST(Liveness, AProxyThatIsHeardAndAnswersIsNotPinged) {
  World world;
  world.watch(w, "");
  world.start();
  for (CallId id = 1; id <= 100; ++id) {
    world.write(id, "/a", "x");
    world.run(100ms);
  }
  EXPECT_THAT(world.answers, SizeIs(100));
  EXPECT_LE(world.linked().pings, 1) << "heartbeats are a second apart";
}

// Batches and heartbeats come as ever, but nothing that is sent is read.
TEST(Liveness, AProxyThatIsHeardButAnswersNothingIsLeft) {
  World world;
  world.watch(w, "");
  world.start();
  model::Proxy& first = world.linked();
  first.reads_nothing = true;
  world.run(20s);
  EXPECT_EQ(&world.linked(), &first) << "nothing was asked";
  world.write(1, "/a", "x");
  for (int i = 0; i < 50; ++i) {
    world.shards.put("/b", std::to_string(i));
    world.follow();
    world.run(100ms);
  }
  EXPECT_NE(&world.linked(), &first);
  EXPECT_TRUE(world.answers.at(1).ok());
  EXPECT_THAT(world.shards.history.at("/a"), ElementsAre("x"));
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 0u);
}

TEST(Liveness, APongMayBeBehindManyBatches) {
  World world;
  world.watch(w, "");
  world.start();
  model::Proxy& first = world.linked();
  first.reads_nothing = true;  // its pong, let us say, is behind all that comes now
  world.session->write(1, {{.key = "/a", .value = "x"}}, world.now(), 1min);
  const std::string value(20'000, 'x');
  const auto busy = [&](int seconds) {
    for (int i = 0; i < 10 * seconds; ++i) {
      world.shards.put("/b", value + std::to_string(i));
      world.follow();
      world.run(100ms);
    }
  };
  busy(9);
  EXPECT_EQ(&world.linked(), &first);
  busy(4);
  EXPECT_NE(&world.linked(), &first);
  EXPECT_TRUE(world.answers.at(1).ok());
}

TEST(Liveness, AJoinThatTakesLongIsNoTimeout) {
  World world;
  for (int i = 0; i < 60; ++i) world.shards.put("/k" + std::to_string(i), "v");
  world.follow();
  world.linked_room = 0;
  world.watch(w, "");
  world.start();
  model::Proxy& first = world.linked();
  for (int i = 0; i < 30; ++i) {  // two entries each second, and no heartbeat
    first.room = 1;
    first.serve();
    for (int tick = 0; tick < 10; ++tick) {
      world.deliver_message();
      world.clock.advance(100ms);
      world.session->tick(world.now());
    }
  }
  EXPECT_EQ(&world.linked(), &first);
  first.room = SIZE_MAX;
  first.serve();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(Synced::How::snapshot));
}

TEST(Liveness, SleepingIsNotTheProxysSilence) {
  World world;
  world.watch(w, "");
  world.start();
  world.run(1s);
  world.clock.advance(60s);  // stopped in a debugger, say
  world.session->tick(world.now());
  world.run(5s);
  EXPECT_THAT(world.connected, SizeIs(1));
  EXPECT_THAT(world.contacts, ElementsAre(true));
}

}  // namespace
}  // namespace canopy::client
