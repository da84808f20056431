#include "client/session.h"

#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

namespace native = wire::native;
using model::World;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr WatchId w = 1;

TEST(Session, AsksABrokerForProxies) {
  World world({.broker = true});
  world.watch(w, "");
  world.start();
  EXPECT_THAT(world.brokers_asked, SizeIs(1));
  EXPECT_THAT(world.connected, SizeIs(1));
  EXPECT_THAT(world.contacts, ElementsAre(true));
}

TEST(Session, ABrokerThatIsSilentIsFollowedByTheNext) {
  World world({.broker = true});
  world.broker_answers = false;
  world.start();
  world.run(900ms);
  EXPECT_THAT(world.brokers_asked, SizeIs(1));
  world.broker_answers = true;
  world.run(300ms);
  ASSERT_THAT(world.brokers_asked, SizeIs(2));
  EXPECT_NE(world.brokers_asked[0], world.brokers_asked[1]);
  EXPECT_THAT(world.connected, SizeIs(1));
}

TEST(Session, AConnectionThatEndsIsLeftAtOnce) {
  World world({.broker = true});
  world.watch(w, "");
  world.start();
  world.run(1s);
  model::Proxy& second = world.other();
  world.session->on_disconnected(world.now());
  EXPECT_THAT(world.contacts, ElementsAre(true, false));
  world.run(1s);
  EXPECT_EQ(&world.linked(), &second);
  EXPECT_THAT(world.contacts, ElementsAre(true, false, true));
}

TEST(Session, WithNoBrokerLeftItUsesTheProxiesItKnows) {
  World world({.broker = true});
  world.watch(w, "");
  world.start();
  world.broker_answers = false;
  model::Proxy& second = world.other();
  world.linked().alive = false;
  world.run(7s);
  EXPECT_EQ(&world.linked(), &second);
  EXPECT_THAT(world.contacts, ElementsAre(true, false, true));
}

TEST(Session, WithoutAnyProxyItTriesAgainLessAndLessOften) {
  World world({.broker = true});
  world.proxy(0).alive = world.proxy(1).alive = false;
  world.start();
  world.run(1s);
  const std::size_t first = world.brokers_asked.size();
  EXPECT_GE(first, 3u);
  world.run(30s);
  EXPECT_GE(world.brokers_asked.size(), first + 5);
  EXPECT_LE(world.brokers_asked.size(), first + 18);
  world.proxy(0).alive = true;
  world.run(6s);
  EXPECT_THAT(world.connected, ElementsAre("p0"));
}

TEST(Session, SaysWhoItIsFirst) {
  World world;
  world.watch(w, "");
  world.write(1, "/a", "x");
  world.start();
  ASSERT_THAT(world.linked().announcements, SizeIs(1));
  const native::Announce& announcement = world.linked().announcements[0];
  EXPECT_EQ(announcement.client, std::string(native::client_id_bytes, 'c'));
  EXPECT_EQ(announcement.name, "the client");
  EXPECT_EQ(announcement.software, "canopy " CANOPY_VERSION);
}

TEST(Session, MovesWhenAsked) {
  World world({.broker = true});
  world.shards.put("/a", "1");
  world.follow();
  world.watch(w, "");
  world.start();
  model::Proxy& first = world.linked();
  first.move(2000);
  world.settle();
  EXPECT_EQ(&world.linked(), &first) << "at a moment of its own choosing";
  world.shards.put("/b", "1");
  world.follow();
  world.run(2200ms);
  EXPECT_NE(&world.linked(), &first);
  EXPECT_EQ(world.watches[w].map, world.shards.state);
  EXPECT_THAT(world.contacts, ElementsAre(true)) << "contact was never lost";
}

TEST(Session, TheMomentOfAMoveDiffers) {
  std::set<base::Duration::rep> moments;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    World world({.seed = seed});
    world.watch(w, "");
    world.start();
    world.linked().move(5000);
    const base::TimePoint asked = world.now();
    while (world.connected.size() < 2 && world.now() - asked < 6s) world.run(100ms);
    ASSERT_THAT(world.connected, SizeIs(2));
    moments.insert((world.now() - asked).count());
  }
  EXPECT_GE(moments.size(), 5u);
}

TEST(Session, WithNowhereToGoItStaysUntilItMust) {
  World world({.proxies = 1});
  world.watch(w, "");
  world.start();
  world.linked().move(0);
  world.run(5s);
  EXPECT_THAT(world.connected, ElementsAre("p0"));
  world.shards.put("/a", "1");
  world.follow();
  world.settle();
  EXPECT_EQ(world.watches[w].map, world.shards.state);
}

TEST(Session, ADrainingProxyIsLeft) {
  World world;
  world.start();
  model::Proxy& first = world.linked();
  first.refuse = wire::Fault::draining;
  world.write(1, "/a", "x");
  world.run(300ms);
  EXPECT_NE(&world.linked(), &first);
  EXPECT_TRUE(world.answers.at(1).ok());
}

TEST(Session, CloseAnswersWhatIsOpen) {
  World world;
  world.watch(w, "");
  world.start();
  world.write(1, "/a", "x");
  world.write(2, "/a", "y");
  world.session->list(3, "/a", world.now());
  world.session->close();
  for (CallId id = 1; id <= 3; ++id) EXPECT_EQ(world.answers.at(id).number, closed);
  EXPECT_FALSE(world.session->linked());
}

TEST(Session, SurvivesHostileFrames) {
  World world;
  world.shards.put("/a", "1");
  world.follow();
  world.watch(w, "");
  world.start();
  world.write(1, "/b", "x");
  world.settle();
  world.follow();
  world.settle();
  world.linked().heartbeat();
  std::vector<std::string> frames = {
      "",
      std::string(1, '\0'),
      "\x02\x95",
      world.from_proxy.front(),
      native::encode_batch({.stream = 1000, .after = UINT64_MAX, .count = 0}, ""),
      native::encode_batch({.stream = 1000, .after = 3, .count = 1}, "\x93\xa1k\x01\xa1v"),
      native::encode(native::Move{UINT32_MAX}),
      native::encode(native::Written{.number = 999}),
      native::encode(native::Refusal{.request = 0, .fault = wire::Fault::malformed}),
      native::encode(native::Refusal{.request = 2, .fault = wire::Fault::busy, .of = 130}),
      native::encode(native::CaughtUp{.request = 2, .stream = 1000, .position = UINT64_MAX}),
      native::encode(native::Gap{.request = 2, .missed = UINT64_MAX}),
      native::encode(native::Pong{.request = 2}),
      native::encode_got(2, nullptr),
      native::encode_chunk({.request = 2, .revision = {}}, ""),
      native::encode_chunk({.request = 2, .partition = "/elsewhere/"}, ""),
      native::encode(native::Members{.request = 5, .members = {{"proxies/x", "{"}}})};
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string frame = frames[random() % frames.size()];
    if (!frame.empty() && round % 2 == 0) {
      frame[random() % frame.size()] = static_cast<char>(random());
    }
    world.session->on_message(frame, world.now());
    world.session->on_broker(frame, world.now());
    if (round % 50 == 0) world.run(100ms);
  }
  // Of what it was told nothing can be said, but it goes on.
  world.watches.clear();
  world.session->unwatch(w);
  world.watch(2, "");
  world.run(20s);
  EXPECT_EQ(world.watches[2].map, world.shards.state);
}

TEST(Directory, ChoosesByRoom) {
  const std::vector<Candidate> candidates = {{.target = {.name = "small"}, .room = 10},
                                             {.target = {.name = "large"}, .room = 90}};
  std::mt19937_64 random(1);
  int large = 0;
  for (int i = 0; i < 1000; ++i) large += choose(candidates, "", random)->name == "large" ? 1 : 0;
  EXPECT_NEAR(large, 900, 60);
  EXPECT_EQ(choose(candidates, "large", random)->name, "small");
  EXPECT_EQ(choose({candidates[0]}, "small", random)->name, "small") << "the only one";
  EXPECT_FALSE(choose({}, "", random));
}

TEST(Directory, OnlyReadyNativeProxies) {
  const auto member = [](const std::string& name, const std::string& state, bool native) {
    wire::ProxyMember made{.name = name, .state = state, .clients = 10, .max_clients = 300};
    if (native) made.native = "tcp://h:1";
    return std::pair("proxies/" + name, wire::to_json(made));
  };
  const auto found = candidates({.request = 1,
                                 .members = {member("a", "ready", true),
                                             member("b", "full", true),
                                             member("c", "ready", false),
                                             {"proxies/d", "no JSON"},
                                             {"shards/e", "{}"}}});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].target, (Target{.name = "a", .endpoint = "tcp://h:1"}));
  EXPECT_EQ(found[0].room, 290u);
}

TEST(Directory, TargetOfAnEndpoint) {
  const auto target = target_at("tcp://10.0.0.1:5600");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->endpoint, "tcp://10.0.0.1:5600");
  for (const char* bad : {"", "tcp://", "tcp://h", "tcp://h:", "tcp://h:x", "tcp://h:65536",
                          "tcp://:1", "ipc://x:1", "tcp://h:0"}) {
    EXPECT_FALSE(target_at(bad)) << bad;
  }
}

}  // namespace
}  // namespace canopy::client
