// A watch that goes on elsewhere, or after a loss of state.
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

class WatchResumeTest : public testing::Test {
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

TEST_F(WatchResumeTest, ResumesElsewhereWithWhatChanged) {
  World world;
  put(world, "/a", "1");
  put(world, "/b", "1");
  begin(world);
  world.settle();
  model::Proxy& second = world.other();
  world.linked().alive = false;
  world.shards.erase("/a");
  world.shards.put("/c", "2");
  world.follow();
  world.watches[w].reported.clear();
  world.run(4s);
  EXPECT_EQ(&world.linked(), &second);
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~-/a", "~+/c=2"));
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
  EXPECT_THAT(world.contacts, ElementsAre(true, false, true));
  EXPECT_EQ(world.watches[w].missed, 0u);
}

TEST_F(WatchResumeTest, AProxyThatLagsIsWaitedFor) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.settle();
  model::Proxy& second = world.other();
  world.shards.put("/a", "2");
  world.shards.erase("/a");
  world.linked().follow();  // the other proxy has not seen this
  world.settle();
  world.linked().alive = false;
  world.run(4s);
  ASSERT_EQ(&world.linked(), &second);
  EXPECT_THAT(world.watches[w].map, IsEmpty());
  EXPECT_EQ(world.watches[w].syncs.size(), 1u) << "not before it has caught up";
  second.follow();
  world.run(200ms);
  EXPECT_THAT(world.watches[w].map, IsEmpty());
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
}

// The known revisions are those said at the end of a flush; updates before it have been told too.
TEST_F(WatchResumeTest, AnAnswerFromBeforeWhatWasToldIsNotTaken) {
  World world;
  put(world, "/a", "1");
  put(world, "/z", "1");
  begin(world);
  world.settle();
  model::Proxy& second = world.other();
  world.linked().batch_updates = 2;
  world.shards.put("/b", "1");
  world.shards.put("/c", "1");
  world.shards.put("/d", "1");
  world.linked().follow();
  world.deliver_message();  // /b and /c; the end of the flush is lost with the proxy
  world.linked().alive = false;
  world.from_proxy.clear();
  second.follow(1);  // /b, not /c
  world.run(4s);
  ASSERT_EQ(&world.linked(), &second);
  EXPECT_EQ(world.watches[w].syncs.size(), 1u);
  second.follow();
  world.run(1s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::changes));
}

TEST_F(WatchResumeTest, AProxyThatNeverCatchesUpIsLeft) {
  World world;
  put(world, "/a", "1");
  begin(world);
  world.settle();
  model::Proxy& first = world.linked();
  world.shards.put("/a", "2");
  first.follow();
  world.settle();
  first.alive = false;
  world.run(4s);
  EXPECT_NE(&world.linked(), &first);
  first.alive = true;
  world.run(13s);
  EXPECT_EQ(&world.linked(), &first);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
}

TEST_F(WatchResumeTest, AClusterThatHasBegunAnewIsBelievedInTheEnd) {
  World world({.partitions = {"", "/a/"}});
  put(world, "/a/1", "1");
  put(world, "/a/2", "1");
  put(world, "/b", "1");
  begin(world);
  world.settle();
  const auto older = [](native::ChunkHeader& header) {
    if (header.partition == "/a/") header.revision = keyspace::Revision(1, 1);
  };
  world.linked().distort = world.other().distort = older;
  world.linked().log_reach = world.other().log_reach = 0;
  world.linked().alive = false;
  world.shards.erase("/a/1");
  world.follow();
  auto& seen = world.watches[w];
  world.run(50s);
  EXPECT_THAT(seen.syncs, ElementsAre(How::snapshot));
  seen.reported.clear();
  seen.revisions.clear();
  world.run(60s);
  EXPECT_THAT(seen.syncs, testing::Contains(How::full));
  EXPECT_EQ(seen.map, world.shards.state);
  EXPECT_THAT(seen.reported, ElementsAre("~+/a/2=1", "~-/a/1"));
}

// Revisions that were told before come again with other contents.
TEST_F(WatchResumeTest, ANewHistoryOfAnEpochIsToldAnewAtOnce) {
  World world({.partitions = {"", "/a/"}});
  for (const char* key : {"/a/1", "/a/2", "/a/3", "/b"}) put(world, key, "1");
  begin(world);
  world.settle();
  auto& seen = world.watches[w];
  world.shards.begin_again("/a/");
  world.shards.put("/a/1", "2");
  world.shards.put("/a/9", "2");
  world.follow();
  world.from_proxy.clear();  // as a proxy does, which begins its streams anew
  for (std::size_t i = 0; i < 2; ++i) world.proxy(i).renew("/a/");
  seen.revisions.clear();
  seen.reported.clear();
  world.settle();
  EXPECT_EQ(seen.map, world.shards.state);
  EXPECT_THAT(seen.reported,
              testing::UnorderedElementsAre("~+/a/1=2", "~+/a/9=2", "~-/a/2", "~-/a/3"));
  EXPECT_EQ(seen.unknown_gaps, 1);
  EXPECT_THAT(seen.syncs, ElementsAre(How::snapshot, How::full));

  seen.reported.clear();
  world.linked().room = 0;
  put(world, "/a/1", "3");  // skipped: what was told of the new history is known, and told once
  world.linked().room = SIZE_MAX;
  world.linked().serve();
  world.settle();
  EXPECT_EQ(seen.map, world.shards.state);
  EXPECT_THAT(seen.reported, ElementsAre("~+/a/1=3"));

  world.linked().alive = false;  // the other proxy cannot know which history the client has joined
  seen.revisions.clear();
  world.run(4s);
  EXPECT_EQ(seen.map, world.shards.state);
}

// Its revisions are ahead of the revisions that the client knows, though below those of some keys.
TEST_F(WatchResumeTest, ANewHistoryWithALargerRevisionReplacesWhatIsHeld) {
  World world;
  for (const char* key : {"/a", "/b", "/c"}) put(world, key, "1");
  begin(world);
  world.settle();
  auto& seen = world.watches[w];
  world.shards.begin_again("");
  world.shards.put("/c", "2");
  for (const char* value : {"2", "3", "4", "5", "6"}) world.shards.put("/a", value);
  model::Proxy& second = world.other();
  second.follow();
  second.log_reach = 0;  // all is told
  world.linked().alive = false;
  seen.revisions.clear();
  world.run(4s);
  EXPECT_EQ(seen.map, world.shards.state);
}

TEST_F(WatchResumeTest, AfterAnOldEpochWhatIsGoneIsToldAsDeleted) {
  World world({.partitions = {"", "/a/"}});
  for (const char* key : {"/a/1", "/a/2", "/a/3", "/b"}) put(world, key, "1");
  begin(world);
  world.settle();
  world.linked().alive = false;
  world.shards.restart("/a/", {"/a/2"});
  world.shards.put("/a/4", "2");
  world.follow();
  world.watches[w].reported.clear();
  world.run(4s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].reported,
              testing::UnorderedElementsAre("~-/a/1", "~-/a/3", "~+/a/4=2"));
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::full));
}

TEST_F(WatchResumeTest, TooFarBackIsAFullComparison) {
  World world;
  put(world, "/a", "1");
  put(world, "/b", "1");
  begin(world);
  world.settle();
  world.other().log_reach = 1;
  world.linked().alive = false;
  world.shards.erase("/a");
  world.shards.put("/c", "2");
  world.follow();
  world.watches[w].reported.clear();
  world.run(4s);
  EXPECT_THAT(world.watches[w].reported, ElementsAre("~+/c=2", "~-/a"));
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot, How::full));
}

TEST_F(WatchResumeTest, AJoinThatWasCutOffGoesOnElsewhere) {
  World world({.partitions = {"", "/a/", "/b/"}});
  for (const char* key : {"/1", "/2", "/a/1", "/a/2", "/a/3", "/b/1"}) put(world, key, "1");
  begin(world);
  world.deliver_request();
  world.deliver_request();
  world.deliver_message();  // the welcome
  world.deliver_message();  // the root
  world.deliver_message();  // two of three of /a/
  ASSERT_EQ(world.watches[w].map.size(), 4u);
  world.linked().alive = false;
  world.from_proxy.clear();
  world.shards.erase("/1");
  world.shards.erase("/a/1");
  world.follow();
  world.run(4s);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.watches[w].syncs, ElementsAre(How::snapshot));
}

}  // namespace
}  // namespace canopy::client
