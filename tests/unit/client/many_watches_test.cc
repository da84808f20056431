// Sessions with more watches than are asked for at once.
#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

using model::World;
using testing::ElementsAre;
using testing::SizeIs;
using namespace std::chrono_literals;

class ManyWatches : public testing::Test {
 protected:
  static constexpr std::size_t count = 200;

  ManyWatches() {
    for (std::size_t i = 0; i < count; ++i) world.watch(i, key(i));
  }
  static std::string key(std::size_t i) { return "/k/" + std::to_string(i); }
  std::size_t syncs() {
    std::size_t all = 0;
    for (const auto& [id, seen] : world.watches) all += seen.syncs.size();
    return all;
  }
  // Passes everything on, and sees how many requests are under way at most.
  void settle() {
    while (world.deliver_request() || world.deliver_message()) {
      peak = std::max(peak, world.linked().watches.size() + world.to_proxy.size() - syncs());
    }
  }

  World world;
  std::size_t peak = 0;
};

TEST_F(ManyWatches, JoinAFewAtATime) {
  world.session->start(world.now());
  world.deliver_request();  // the announcement
  settle();
  EXPECT_EQ(syncs(), count) << "one after the other, at once";
  EXPECT_EQ(peak, Session::max_joining);
  world.run(20s);
  EXPECT_EQ(world.linked().watches.size(), count) << "and then live quietly";
  EXPECT_THAT(world.contacts, ElementsAre(true));
}

TEST_F(ManyWatches, ThoseThatWaitForTheirTurnAreNotStuck) {
  world.linked_room = 0;
  world.start();
  model::Proxy& first = world.linked();
  for (int i = 0; i < 30; ++i) {
    first.room = 6;
    first.serve();
    world.run(1s);
  }
  EXPECT_LT(syncs(), count);
  first.room = SIZE_MAX;
  first.serve();
  world.settle();
  EXPECT_EQ(syncs(), count);
  EXPECT_EQ(&world.linked(), &first);
  world.session->unwatch(3);
  world.run(1s);
}

TEST_F(ManyWatches, OutliveABusyProxy) {
  world.linked_room = 0;
  world.start();
  model::Proxy& first = world.linked();
  first.room = SIZE_MAX;
  first.refuse = wire::Fault::busy;
  world.run(5s);
  first.refuse = wire::Fault::none;
  first.serve();
  world.run(5s);
  EXPECT_EQ(&world.linked(), &first);
  EXPECT_EQ(syncs(), count);
}

TEST_F(ManyWatches, OneThatIsNotBroughtOnIsALostProxy) {
  world.start();
  model::Proxy& first = world.linked();
  first.room = 0;
  world.watch(count, "/more/");
  for (int i = 0; i < 90; ++i) {
    first.room = 1;  // for a heartbeat: the proxy lives
    world.run(100ms);
  }
  EXPECT_THAT(world.connected, SizeIs(1));
  for (int i = 0; i < 30; ++i) {
    first.room = 1;
    world.run(100ms);
  }
  EXPECT_THAT(world.connected, SizeIs(2));
}

}  // namespace
}  // namespace canopy::client
