#include "client/watch.h"

#include <gmock/gmock.h>

#include "core/base/limits.h"
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
  EXPECT_THAT(world.watches[w].told,
              ElementsAre("~+/b=y", "~+/c=z", "~+/a/1=x", "+/a/2=new", "-/b"));
  EXPECT_EQ(world.linked().fetches.size(), 1u);
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
  EXPECT_THAT(world.watches[w].told, ElementsAre("~+/a=", "+/b=x", "+/b="));
}

TEST_F(WatchTest, ManyChunksComeUnderCredit) {
  World world;
  for (int i = 0; i < 41; ++i) world.shards.put("/k" + std::to_string(i), "v");
  world.follow();
  begin(world);
  world.settle();
  EXPECT_EQ(world.watches[w].map.size(), 41u);
  EXPECT_THAT(world.linked().fetches, testing::SizeIs(1));
}

TEST_F(WatchTest, BatchesThatOvertakeTheSnapshotAreJoinedAtItsCut) {
  World world;
  put(world, "/a", "1");
  begin(world);
  put(world, "/a", "2");   // on the stream before its first frame has arrived
  world.deliver_stream();  // now it asks
  // One batch straddles the cut: the proxy names a position inside it.
  world.linked().distort = [](native::ChunkHeader& header) { header.position += 2; };
  world.linked().batch_updates = 4;
  ASSERT_TRUE(world.deliver_request());
  world.linked().distort = nullptr;
  for (const char* value : {"3", "4", "5", "6"}) world.shards.put("/a", value);
  world.follow();
  world.watches[w] = {};
  while (world.deliver_stream()) {
  }
  EXPECT_THAT(world.watches[w].told, IsEmpty()) << "held until the snapshot is there";
  world.settle();
  // The model's snapshot holds 2, although its position says that 3 and 4 are in it.
  EXPECT_THAT(world.watches[w].told, ElementsAre("~+/a=2", "+/a=5", "+/a=6"));
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

TEST_F(WatchTest, AHoleIsCountedToldAndRepaired) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "1");
  world.settle();
  world.shards.put("/b", "lost");
  world.shards.put("/c", "lost");
  world.shards.erase("/a");
  world.follow();
  world.from_streams.clear();  // a full queue on the way
  put(world, "/d", "2");
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 3u);
  EXPECT_EQ(world.linked().dropped, 3u);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
  ASSERT_EQ(world.linked().fetches.size(), 2u);
  EXPECT_EQ(world.linked().fetches[1].gap->had, 8u);
  EXPECT_EQ(world.linked().fetches[1].gap->saw, 11u);
  EXPECT_FALSE(world.linked().fetches[1].known.empty());
}

TEST_F(WatchTest, TheLossOfTheLastBatchIsSeenByTheHeartbeat) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "lost");
  world.from_streams.clear();
  world.run(1s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 1u);
}

TEST_F(WatchTest, HolesDuringARepairAreCountedToo) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "lost");
  world.from_streams.clear();
  put(world, "/b", "1");
  world.deliver_stream();  // the hole is seen, the fetch is under way
  put(world, "/c", "lost");
  put(world, "/d", "lost");
  world.from_streams.clear();
  put(world, "/e", "2");
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].missed, 3u);
  EXPECT_EQ(world.linked().dropped, 3u) << "although the answer covered the second hole";
}

TEST_F(WatchTest, AnotherIncarnationIsAGapOfUnknownSize) {
  World world;
  begin(world);
  world.settle();
  put(world, "/a", "1");
  world.settle();
  world.shards.put("/b", "missed");
  world.follow();
  world.from_streams.clear();
  world.linked().restart();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.watches[w].unknown_gaps, 1);
  EXPECT_EQ(world.watches[w].missed, 0u);
  EXPECT_FALSE(world.linked().fetches.back().gap);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
}

TEST_F(WatchTest, AProxyReplacedDuringAFetchIsAskedAgainAtOnce) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.deliver_stream();
  world.to_proxy.clear();  // died with the process
  world.linked().restart();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.linked().fetches.size(), 1u) << "what the earlier one had sent is no hole";
}

TEST_F(WatchTest, ChunksThatStopAreAskedForAgain) {
  World world;
  for (const char* key : {"/a", "/b", "/c", "/d", "/e"}) put(world, key, "1");
  begin(world);
  world.deliver_stream();
  world.deliver_request();
  world.deliver_answer();  // two entries of five
  world.from_requests.clear();
  world.to_proxy.clear();
  world.run(4s);
  EXPECT_THAT(world.watches[w].syncs, IsEmpty());
  world.run(2s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_EQ(world.connected.size(), 1u);
}

TEST_F(WatchTest, ALostChunkIsNoSnapshot) {
  World world;
  for (const char* key : {"/a", "/b", "/c", "/d", "/e"}) put(world, key, "1");
  begin(world);
  world.deliver_stream();
  world.deliver_request();
  ASSERT_EQ(world.from_requests.size(), 3u);
  world.from_requests.erase(world.from_requests.begin() + 1);
  while (world.deliver_answer()) {
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
  EXPECT_THAT(world.watches[w].told, ElementsAre("~+/a=1"));
  world.shards.put("/b", "1");
  world.shards.put("/c", "1");
  world.shards.put("/b", "2");
  world.shards.put("/d", "1");
  world.shards.erase("/d");
  world.follow();
  world.linked().flush();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].told, ElementsAre("~+/a=1", "+/b=2", "+/c=1"));
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
  world.watch(2, "");  // nothing new is subscribed: it need not wait for a heartbeat
  world.settle();
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  world.session->unwatch(w);
  put(world, "/b", "1");
  world.settle();
  EXPECT_EQ(world.watches[2].map, world.shards.state);
  EXPECT_FALSE(world.watches[w].map.contains("/b"));
  world.session->unwatch(2);
  world.watch(3, "");
  world.settle();
  EXPECT_EQ(world.watches[3].map, world.shards.state);
}

// A proxy answers one fetch of a client for a stream at a time.
TEST_F(WatchTest, WatchesOfOneStreamFetchOneAfterTheOther) {
  World world;
  for (const char* key : {"/a", "/b", "/c", "/d", "/e"}) put(world, key, "1");
  world.watch(1, "");
  world.watch(2, "");
  world.watch(3, "/a");  // another stream
  world.session->start(world.now());
  while (world.deliver_stream()) {
  }
  while (world.deliver_request()) {
  }
  EXPECT_EQ(world.linked().fetches.size(), 2u);
  world.settle();
  EXPECT_EQ(world.linked().fetches.size(), 3u);
  EXPECT_EQ(world.watches[1].map, world.shards.state);
  EXPECT_EQ(world.watches[2].map, world.shards.state);
}

TEST_F(WatchTest, ASubscriptionNotSeenYetIsWaitedFor) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.deliver_stream();
  world.linked().refuse = wire::Fault::not_subscribed;
  world.settle();
  world.linked().refuse = wire::Fault::none;
  EXPECT_EQ(world.linked().fetches.size(), 1u);
  world.linked().heartbeat();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
}

TEST_F(WatchTest, ABusyProxyIsAskedAgainLater) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.linked().refuse = wire::Fault::busy;
  world.settle();
  EXPECT_EQ(world.linked().fetches.size(), 1u) << "not at once";
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
  EXPECT_EQ(world.linked().fetches.size(), 1u);
}

TEST_F(WatchTest, AForbiddenSubtreeIsSilentAndRefusedWhenAskedFor) {
  World world;
  world.proxy(0).refuse = wire::Fault::forbidden;
  begin(world);
  EXPECT_TRUE(world.linked().fetches.empty());
  world.run(Watch::mute + 200ms);
  EXPECT_EQ(world.refusals[w].number, static_cast<unsigned>(wire::Fault::forbidden));
  world.run(10s);
  EXPECT_EQ(world.linked().fetches.size(), 1u);
  EXPECT_EQ(world.connected.size(), 1u) << "no other proxy is tried";
}

TEST_F(WatchTest, ASubscriptionThatStaysUnseenIsAskedForNowAndThen) {
  World world;
  begin(world);
  world.deliver_stream();
  world.linked().refuse = wire::Fault::not_subscribed;
  for (int i = 0; i < 25; ++i) {  // without heartbeats
    world.clock.advance(100ms);
    world.session->tick(world.now());
    world.settle();
  }
  EXPECT_EQ(world.linked().fetches.size(), 2u);
}

TEST_F(WatchTest, WhatIsNoSubtreeIsRefusedAtOnce) {
  World world;
  world.watch(w, "bad\nkey");
  world.watch(2, "/a/", native::max_latest_ms + 1);
  EXPECT_EQ(world.refusals[w].number, static_cast<unsigned>(wire::Fault::bad_subtree));
  EXPECT_EQ(world.refusals[2].number, static_cast<unsigned>(wire::Fault::bad_field));
}

TEST_F(WatchTest, WhatCannotBeHeldDuringAFetchIsFetchedAgain) {
  World world;
  begin(world);
  world.deliver_stream();
  ASSERT_TRUE(world.deliver_request());
  world.linked().chunk_entries = 1;
  world.linked().batch_updates = 1;
  const std::string value(base::max_value_bytes, 'x');
  for (int i = 0; i < 40; ++i) put(world, "/k" + std::to_string(i % 4), value);
  while (world.deliver_stream()) {
  }
  world.settle();
  EXPECT_TRUE(world.watches[w].map == world.shards.state);
  EXPECT_GE(world.linked().fetches.size(), 2u);
  EXPECT_EQ(world.watches[w].missed, 0u) << "nothing was lost on the way";
}

}  // namespace
}  // namespace canopy::client
