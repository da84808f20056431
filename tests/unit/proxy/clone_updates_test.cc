// The updates port of the Clone frontends: which connection gets which updates, and what is
// counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/proxy/clone_world.h"

namespace canopy::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using wire::clone::Dialect;

std::vector<std::string> keys_of(const std::vector<Message>& messages) {
  std::vector<std::string> keys;
  for (const Message& message : messages) keys.push_back(message.front());
  return keys;
}

class CloneUpdatesTest : public testing::Test {
 protected:
  void SetUp() override { world.sync(); }

  double dropped(const std::string& shard) {
    return world.metrics.missed_by_clients(shard, "kvsimple").Value();
  }

  CloneWorld world{{"", "/a/"}};
};

TEST_F(CloneUpdatesTest, SubscriptionsBelongToTheirConnection) {
  auto one = world.connect(Role::updates);
  auto other = world.connect(Role::updates);
  one->subscribe("/a/");
  one->subscribe("/a/");
  other->subscribe("/a/", false);  // it has no subscription
  other->subscribe("/a/");
  const auto publish = [&] {
    world.put("/a/1", "v");
    world.put("/b/1", "v");
    world.flush();
  };
  publish();
  EXPECT_THAT(keys_of(one->read()), ElementsAre("/a/1"));
  EXPECT_THAT(keys_of(other->read()), ElementsAre("/a/1"));
  one->subscribe("/a/", false);
  publish();
  EXPECT_THAT(one->read(), IsEmpty()) << "one cancellation ends it, as with libzmq";
  EXPECT_THAT(keys_of(other->read()), ElementsAre("/a/1"));
  other->subscribe("/b");
  publish();
  EXPECT_THAT(one->read(), IsEmpty());
  EXPECT_THAT(keys_of(other->read()), ElementsAre("/a/1", "/b/1"));
}

TEST_F(CloneUpdatesTest, EqualSetsOfPrefixesShareOneBuffer) {
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 4; ++i) wires.push_back(world.connect(Role::updates));
  for (int i = 0; i < 3; ++i) {
    for (const char* prefix : {"/a/", "/b/"}) wires[static_cast<std::size_t>(i)]->subscribe(prefix);
  }
  wires[3]->subscribe("/a/");
  for (int i = 0; i < 10; ++i) world.put("/a/" + std::to_string(i), "v");
  world.flush();
  for (const auto& wire : wires) ASSERT_EQ(wire->queue().size(), 1u);
  EXPECT_EQ(wires[0]->queue()[0], wires[1]->queue()[0]);
  EXPECT_EQ(wires[0]->queue()[0], wires[2]->queue()[0]);
  EXPECT_NE(wires[0]->queue()[0], wires[3]->queue()[0]);
  EXPECT_EQ(wires[3]->read().size(), 10u);
  EXPECT_EQ(world.metrics.delivered.Add({{"dialect", "kvsimple"}}).Value(), 40);
}

TEST_F(CloneUpdatesTest, AnUpdateIsSentOnceToEachConnection) {
  auto wire = world.connect(Role::updates);
  for (const char* prefix : {"", "/", "/a/", "/a/1"}) wire->subscribe(prefix);
  world.put("/a/1", "v");
  world.flush();
  EXPECT_EQ(wire->read().size(), 1u);
}

TEST_F(CloneUpdatesTest, LargePiecesStayInOrder) {
  auto wire = world.connect(Role::updates);
  wire->subscribe("");
  for (int i = 0; i < 40; ++i) world.put("/" + std::to_string(i), std::string(50'000, 'v'));
  world.flush();
  EXPECT_GT(wire->queue().size(), 4u);
  std::int64_t last = 0;
  const auto messages = wire->read();
  EXPECT_EQ(messages.size(), 40u);
  for (const Message& message : messages) {
    EXPECT_GT(GuideClient::sequence_of(message), last);
    last = GuideClient::sequence_of(message);
  }
}

TEST_F(CloneUpdatesTest, UpdatesMissedAtAFullQueueAreCountedExactly) {
  std::mt19937 random(11);
  world.backend.config.client_queue_bytes = 20'000;
  std::map<std::string, std::size_t> expected;  // by shard
  std::vector<std::pair<std::unique_ptr<Wire>, std::string>> wires;
  for (const char* prefix : {"", "/a/", "/", "/a/", "/b"}) {
    wires.emplace_back(world.connect(Role::updates), prefix);
    wires.back().first->subscribe(prefix);
  }
  std::map<std::string, std::size_t> received;
  const auto read = [&](Wire& wire) {
    for (const Message& message : wire.read()) {
      ++received[message.front().starts_with("/a/") ? "/a/" : ""];
    }
  };
  for (int i = 0; i < 5000; ++i) {
    const std::string key = (random() % 2 == 0 ? "/a/" : "/b/") + std::to_string(random() % 50);
    world.put(key, std::string(1 + random() % 900, 'v'));
    for (const auto& [wire, prefix] : wires) {
      if (key.starts_with(prefix)) ++expected[key.starts_with("/a/") ? "/a/" : ""];
    }
    if (random() % 10 == 0) world.flush();
    if (random() % 30 == 0) read(*wires[random() % wires.size()].first);
    for (const auto& [wire, prefix] : wires) ASSERT_LE(wire->queued_bytes(), 20'000u);
  }
  world.flush();
  std::uint64_t dropped_of_all = 0;
  for (const auto& [wire, prefix] : wires) {
    read(*wire);
    dropped_of_all += world.frontend().describe(*wire).missed;
  }
  EXPECT_GT(dropped(""), 100);
  EXPECT_GT(dropped("/a/"), 100);
  for (const char* shard : {"", "/a/"}) {
    EXPECT_EQ(static_cast<double>(received[shard]) + dropped(shard),
              static_cast<double>(expected[shard]));
  }
  EXPECT_EQ(dropped_of_all, world.frontend().missed());
  EXPECT_EQ(static_cast<double>(dropped_of_all), dropped("") + dropped("/a/"));
}

TEST_F(CloneUpdatesTest, ASlowClientMayBeClosedInstead) {
  world.backend.config.client_queue_bytes = 1000;
  world.backend.config.slow_clients = config::SlowClients::disconnect;
  auto wire = world.connect(Role::updates);
  wire->subscribe("");
  world.put("/1", std::string(600, 'v'));
  world.flush();
  EXPECT_EQ(wire->closed_for, "");
  world.put("/1", std::string(600, 'v'));
  world.flush();
  EXPECT_EQ(wire->closed_for, "slow_client");
  EXPECT_EQ(world.frontend().missed(), 0u);
}

TEST_F(CloneUpdatesTest, ForbiddenPrefixesAreLeftOut) {
  world.backend.readable = [](std::string_view prefix) { return prefix.starts_with("/a/"); };
  auto wire = world.connect(Role::updates);
  wire->subscribe("");
  wire->subscribe("/a/");
  wire->subscribe("", false);  // was never begun
  wire->subscribe(std::string_view("\x01", 1));
  world.put("/a/1", "v");
  world.put("/b/1", "v");
  world.flush();
  EXPECT_THAT(keys_of(wire->read()), ElementsAre("/a/1"));
  EXPECT_THAT(world.frontend().describe(*wire).subscriptions, ElementsAre("/a/"));
}

TEST_F(CloneUpdatesTest, TooManySubscriptionsCloseTheConnection) {
  auto wire = world.connect(Role::updates);
  for (std::size_t i = 0; i < CloneUpdates::max_prefixes; ++i) {
    wire->subscribe("/" + std::to_string(i));
  }
  EXPECT_EQ(wire->closed_for, "");
  wire->subscribe("/one more");
  EXPECT_EQ(wire->closed_for, "too_many_subscriptions");
  auto long_ones = world.connect(Role::updates);
  for (int i = 0; i < 40'000 && !long_ones->closing(); ++i) {
    long_ones->subscribe("/" + std::to_string(i) + std::string(240, 'x'));
  }
  EXPECT_EQ(long_ones->closed_for, "too_many_subscriptions");
}

TEST(CloneHeartbeats, GoToTheirSubscribersAndAreNoPrefixOfKeys) {
  CloneWorld world{{""}, Dialect::chp};
  world.sync();
  std::vector<std::unique_ptr<Wire>> wires;
  for (const char* prefix : {"", "HU", "HUGZ", "/a/"}) {
    wires.push_back(world.connect(Role::updates));
    wires.back()->subscribe(prefix);
  }
  world.frontend().on_heartbeat(world.backend.time);
  for (int i = 0; i < 3; ++i) {
    const auto messages = wires[static_cast<std::size_t>(i)]->read();
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_THAT(messages[0], ElementsAre("HUGZ", std::string(8, '\0'), "", "", ""));
  }
  EXPECT_THAT(wires[3]->read(), IsEmpty());
  world.put("HUGZ/secret", "v");
  world.flush();
  EXPECT_THAT(keys_of(wires[1]->read()), ElementsAre("HUGZ/secret"));
  EXPECT_THAT(wires[2]->read(), IsEmpty());
  wires[2]->subscribe("HUGZ", false);
  wires[2]->subscribe("HUGZ", false);
  world.frontend().on_heartbeat(world.backend.time);
  EXPECT_THAT(wires[2]->read(), IsEmpty());
}

TEST(CloneCollector, PassesOnPermittedWrites) {
  CloneWorld world;
  world.backend.readable = [](std::string_view key) { return key.starts_with("/a/"); };
  auto wire = world.connect(Role::collector);
  const std::string sequence(8, '\0');
  wire->say({"/a/1", sequence, "value"});
  wire->say({"/a/2", sequence, ""});
  wire->say({"/b/1", sequence, "value"});
  wire->say({"/a/1", sequence});
  ASSERT_EQ(world.backend.writes.size(), 2u);
  const auto& first = world.backend.writes[0].request.writes.at(0);
  EXPECT_EQ(first.key, "/a/1");
  EXPECT_EQ(first.value, "value");
  EXPECT_TRUE(world.backend.writes[1].request.writes.at(0).deletes);
  EXPECT_EQ(world.metrics.writes_received.Add({{"dialect", "kvsimple"}}).Value(), 4);
}

TEST(CloneOpenings, AreThreeConsecutivePorts) {
  for (const Dialect dialect : wire::clone::dialects) {
    CloneWorld world{{""}, dialect};
    std::vector<config::Endpoint> endpoints;
    for (const Opening& opening : world.frontend().openings()) {
      endpoints.push_back(opening.endpoint);
      EXPECT_EQ(opening.dialect, wire::clone::name(dialect));
    }
    EXPECT_THAT(endpoints, ElementsAre("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557",
                                       "tcp://127.0.0.1:5558"));
    EXPECT_EQ(world.frontend().openings()[2].type,
              dialect == Dialect::chp ? zmtp::SocketType::sub : zmtp::SocketType::pull);
  }
}

}  // namespace
}  // namespace canopy::proxy
