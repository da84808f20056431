#include "client/watch.h"

#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

namespace native = wire::native;
using model::World;
using model::WorldOptions;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;
using How = Synced::How;

constexpr WatchId w = 1;

class WatchTest : public testing::Test {
 protected:
  // Linked, with the frames of the join still under way.
  void begin(World& world, const std::string& subtree = "") {
    world.watch(w, subtree);
    world.session->start(world.now());
  }
  void put(World& world, const std::string& key, const std::string& value) {
    world.shards.put(key, value);
    world.follow();
  }
};

TEST_F(WatchTest, SnapshotThenEachUpdate) {
  World world({.partitions = {"", "/a/"}});
  put(world, "/a/1", "x");
  put(world, "/b", "y");
  put(world, "/c", "z");
  begin(world);
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot));
  put(world, "/a/2", "new");
  world.shards.erase("/b");
  world.follow();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].reported,
              ElementsAre("~+/b=y", "~+/c=z", "~+/a/1=x", "+/a/2=new", "-/b"));
  EXPECT_EQ(world.linked().watches.size(), 1u);
}

TEST_F(WatchTest, AnEmptyValueIsAValue) {
  World world;
  put(world, "/a", "");
  begin(world);
  world.settle();
  put(world, "/b", "x");
  put(world, "/b", "");
  world.settle();
  EXPECT_EQ(world.watches[w].map, (std::map<std::string, std::string>{{"/a", ""}, {"/b", ""}}));
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~+/a=", "+/b=x", "+/b="));
}

TEST_F(WatchTest, ManyChunks) {
  World world;
  for (int i = 0; i < 41; ++i) world.shards.put("/k" + std::to_string(i), "v");
  world.follow();
  begin(world);
  world.settle();
  EXPECT_EQ(world.watches[w].map.size(), 41u);
  EXPECT_THAT(world.linked().watches, testing::SizeIs(1));
}

// The first batch may hold what the chunks held already.
TEST_F(WatchTest, ABatchThatBeginsBeforeTheCutIsJoinedAtIt) {
  World world;
  put(world, "/a", "1");
  world.watch(2, "");
  begin(world);
  world.settle();
  world.session->unwatch(w);
  world.linked().lingers = true;
  world.linked().batch_updates = 4;
  put(world, "/a", "2");
  put(world, "/b", "2");
  world.watch(3, "");
  world.settle();
  EXPECT_THAT(world.watches[3].reported, ElementsAre("~+/a=2", "~+/b=2"));
  put(world, "/a", "3");
  put(world, "/a", "4");
  world.linked().flush();
  world.settle();
  EXPECT_THAT(world.watches[2].reported, ElementsAre("~+/a=1", "+/a=2", "+/b=2", "+/a=3", "+/a=4"));
  EXPECT_THAT(world.watches[3].reported, ElementsAre("~+/a=2", "~+/b=2", "+/a=3", "+/a=4"));
  EXPECT_EQ(world.watches[3].missed, 0u);
}

TEST_F(WatchTest, ABatchThatComesTwiceIsToldOnce) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "1");
  put(world, "/a", "2");
  world.from_proxy.push_back(world.from_proxy.front());
  put(world, "/a", "3");
  world.settle();
  EXPECT_THAT(world.watches[w].reported, ElementsAre("+/a=1", "+/a=2", "+/a=3"));
}

TEST_F(WatchTest, OnlyTheSubtree) {
  World world({.partitions = {"", "/a/"}});
  put(world, "/a/x/1", "in");
  put(world, "/a/y", "out");
  begin(world, "/a/x/");
  world.settle();
  put(world, "/a/x/2", "in");
  put(world, "/a/xy", "out");
  world.settle();
  EXPECT_EQ(world.watches[w].map,
            (std::map<std::string, std::string>{{"/a/x/1", "in"}, {"/a/x/2", "in"}}));
}

TEST_F(WatchTest, FallingBehindIsToldExactlyAndRepaired) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "1");
  world.settle();
  world.linked().room = 0;
  world.shards.put("/b", "skipped");
  world.shards.put("/c", "skipped");
  world.shards.erase("/a");
  world.follow();
  put(world, "/b", "2");
  world.linked().room = SIZE_MAX;
  world.linked().serve();
  put(world, "/d", "2");
  world.watches[w].reported.clear();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~-/a", "~+/b=2", "~+/c=skipped", "+/d=2"));
  EXPECT_EQ(world.watches[w].missed, 4u);
  EXPECT_EQ(world.linked().dropped, 4u);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
  EXPECT_EQ(world.linked().watches.size(), 1u) << "the proxy knows what was had";
}

TEST_F(WatchTest, SeveralRoundsMayBeNeeded) {
  World world;
  for (const char* key : {"/a", "/b", "/c"}) put(world, key, "1");
  world.linked_room = 1;
  begin(world);
  world.settle();
  EXPECT_EQ(world.watches[w].map.size(), 2u);
  world.shards.erase("/a");
  put(world, "/d", "1");
  for (int i = 0; i < 10; ++i) {
    if (i < 3) put(world, "/e", std::to_string(i));
    world.linked().room = 1;
    world.linked().serve();
    world.settle();
  }
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, world.linked().dropped);
  EXPECT_EQ(world.watches[w].missed, 5u);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot));
}

// It cannot be, on one connection: the proxy has erred.
TEST_F(WatchTest, AHoleIsCountedAndAskedFor) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "1");
  world.settle();
  world.shards.put("/b", "lost");
  world.shards.erase("/a");
  world.follow();
  world.from_proxy.clear();
  put(world, "/d", "2");
  world.settle();
  EXPECT_EQ(world.watches[w].missed, 2u);
  put(world, "/e", "2");
  world.run(200ms);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 2u);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
  ASSERT_EQ(world.linked().watches.size(), 2u);
  EXPECT_FALSE(world.linked().watches[1].known.empty());
  ASSERT_EQ(world.linked().unwatches.size(), 1u);
  EXPECT_EQ(world.linked().unwatches[0].request, world.linked().watches[0].request);
}

TEST_F(WatchTest, TheLossOfTheLastBatchIsSeenByTheHeartbeat) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "lost");
  world.from_proxy.clear();
  world.run(1200ms);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 1u);
}

TEST_F(WatchTest, ChunksThatDoNotFitAreNoSnapshot) {
  World world;
  for (const char* key : {"/a", "/b", "/c", "/d", "/e"}) put(world, key, "1");
  begin(world);
  int chunks = 0;
  world.proxy(0).distort = world.proxy(1).distort = [&](native::ChunkHeader& header) {
    if (++chunks == 2) header.partition = "/b/";
  };
  while (world.deliver_request() || world.deliver_message()) {
  }
  EXPECT_THAT(world.watches[w].syncs, IsEmpty());
  world.run(1s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot));
}

TEST_F(WatchTest, LatestIgnoresWhatTheSnapshotHeldAlready) {
  World world;
  world.watch(w, "", 100);
  world.session->start(world.now());
  world.shards.put("/a", "1");
  world.follow();  // pending on the stream
  world.settle();  // and in the snapshot
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~+/a=1"));
  world.shards.put("/b", "1");
  world.shards.put("/c", "1");
  world.shards.put("/b", "2");
  world.shards.put("/d", "1");
  world.shards.erase("/d");
  world.follow();
  world.linked().flush();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~+/a=1", "+/b=2", "+/c=1"));
  EXPECT_EQ(world.watches[w].missed, 0u);
}

TEST_F(WatchTest, CompressedBatches) {
  World world;
  world.watch(w, "", 0, true);
  world.start();
  put(world, "/a", std::string(5000, 'x'));
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
}

TEST_F(WatchTest, TwoWatchesOfOneStream) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.settle();
  world.watch(2, "");
  world.settle();
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  put(world, "/b", "1");
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  world.session->unwatch(w);
  put(world, "/c", "1");
  world.settle();
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  EXPECT_FALSE(world.watches[w].map.contains("/c"));
  world.session->unwatch(2);
  world.watch(3, "");
  put(world, "/d", "1");
  world.settle();
  EXPECT_EQ(world.watches[3].map, world.shards.state);
  EXPECT_FALSE(world.watches[2].map.contains("/d"));
}

// A batch is of those watches of the stream that are live.
TEST_F(WatchTest, AWatchThatIsBehindTakesNoBatches) {
  World world;
  for (const char* key : {"/a", "/b", "/c"}) put(world, key, "1");
  begin(world);
  world.settle();
  world.linked().room = 1;
  world.watch(2, "");
  world.settle();
  world.linked().room = 1;
  put(world, "/d", "1");  // a batch to the first, then no room for a chunk
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[2].map.size(), 2u);
  world.linked().room = SIZE_MAX;
  world.linked().serve();
  world.settle();
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 0u);
}

TEST_F(WatchTest, ABusyProxyIsAskedAgainLater) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.linked().refuse = wire::Fault::busy;
  world.settle();
  EXPECT_EQ(world.linked().watches.size(), 1u) << "not at once";
  world.linked().refuse = wire::Fault::none;
  world.run(200ms);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
}

TEST_F(WatchTest, AFinalRefusalEndsTheWatch) {
  World world;
  begin(world);
  world.linked().refuse = wire::Fault::bad_subtree;
  world.settle();
  EXPECT_EQ(world.refusals[w].number, static_cast<unsigned>(wire::Fault::bad_subtree));
  world.run(10s);
  EXPECT_EQ(world.linked().watches.size(), 1u);
}

TEST_F(WatchTest, AWatchMayBeRefusedLater) {
  World world;
  begin(world);
  world.settle();
  world.session->on_message(
      native::encode(native::Refusal{.request = world.linked().watches[0].request,
                                     .fault = wire::Fault::forbidden,
                                     .of = static_cast<unsigned>(native::Kind::watch)}),
      world.now());
  EXPECT_EQ(world.refusals[w].number, static_cast<unsigned>(wire::Fault::forbidden));
  put(world, "/a", "1");
  world.run(10s);
  EXPECT_THAT(world.watches[w].reported, IsEmpty());
  EXPECT_EQ(world.linked().watches.size(), 1u);
  EXPECT_EQ(world.connected.size(), 1u) << "no other proxy is tried";
}

TEST_F(WatchTest, WhatIsNoSubtreeIsRefusedAtOnce) {
  World world;
  world.watch(w, "bad\nkey");
  world.watch(2, "/a/", native::max_latest_ms + 1);
  EXPECT_EQ(world.refusals[w].number, static_cast<unsigned>(wire::Fault::bad_subtree));
  EXPECT_EQ(world.refusals[2].number, static_cast<unsigned>(wire::Fault::bad_field));
}

}  // namespace
}  // namespace canopy::client
