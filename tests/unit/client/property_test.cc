// What must hold whatever the network and the proxies do; World checks each event as it comes.
#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

namespace native = wire::native;
using model::Proxy;
using model::World;
using namespace std::chrono_literals;

class Property : public testing::TestWithParam<std::uint64_t> {
 protected:
  Property()
      : random_(GetParam()),
        world_({.partitions = {"", "/a/", "/a/b/"}, .proxies = 3, .seed = GetParam()}) {}

  std::size_t below(std::size_t bound) { return random_() % bound; }

  std::string key() {
    static const char* const prefixes[] = {"/", "/a/", "/a/b/"};
    return prefixes[below(3)] + std::to_string(below(6));
  }

  void shards_commit() {
    for (std::size_t i = below(6); i > 0; --i) {
      if (below(3) == 0) {
        const std::string gone = key();
        if (world_.shards.state.contains(gone)) world_.shards.erase(gone);
      } else {
        world_.shards.put(key(), std::to_string(++values_));
      }
    }
  }

  // Frames of the two directions come in any order between them.
  void network_delivers() {
    for (std::size_t i = below(8); i > 0; --i) {
      if (below(3) == 0) {
        world_.deliver_request();
      } else {
        world_.deliver_message();
      }
    }
  }

  // A batch is lost, which a connection does not do, but a proxy with a fault.
  void proxy_errs() {
    if (world_.from_proxy.empty()) return;
    const auto at =
        world_.from_proxy.begin() + static_cast<std::ptrdiff_t>(below(world_.from_proxy.size()));
    native::FromProxy message;
    ASSERT_TRUE(native::decode_from_proxy(*at, message));
    if (std::holds_alternative<native::Batch>(message)) world_.from_proxy.erase(at);
  }

  void something_happens() {
    Proxy& proxy = world_.proxy(below(3));
    switch (below(80)) {
      case 0: proxy.alive = !proxy.alive; break;
      case 1: world_.cut(); break;
      case 2: proxy.move(300); break;
      case 3: proxy.log_reach = below(40); break;
      case 4: proxy.heartbeat(); break;
      case 5: world_.shards.restart("/a/", {"/a/1", "/a/2", "/a/3"}); break;
      case 6: proxy.reads_nothing = !proxy.reads_nothing; break;
      case 7: proxy.waits = !proxy.waits; break;
      case 8: proxy.lingers = !proxy.lingers; break;
      case 9: proxy_errs(); break;
      case 10:
      case 11:
      case 12: proxy.room = below(6); break;
      case 13: proxy.room = SIZE_MAX; break;
      default: break;
    }
    proxy.follow(below(4));
    if (below(3) > 0) proxy.flush();
    proxy.serve();
  }

  void time_passes() {
    world_.clock.advance(std::chrono::milliseconds(below(200)));
    world_.session->tick(world_.now());
  }

  void all_is_well_again() {
    for (std::size_t i = 0; i < 3; ++i) {
      Proxy& proxy = world_.proxy(i);
      proxy.alive = true;
      proxy.reads_nothing = proxy.lingers = false;
      proxy.log_reach = proxy.room = SIZE_MAX;
    }
    for (int i = 0; i < 60; ++i) {
      world_.follow();
      for (std::size_t p = 0; p < 3; ++p) world_.proxy(p).flush();
      world_.run(500ms);
    }
  }

  std::map<std::string, std::string> truth(const std::string& subtree) const {
    std::map<std::string, std::string> found;
    for (const auto& [key, value] : world_.shards.state) {
      if (wire::native::covers(subtree, key)) found[key] = value;
    }
    return found;
  }

  std::mt19937_64 random_;
  World world_;
  int values_ = 0;
};

TEST_P(Property, WatchersEndEqualAndNeverGoBack) {
  world_.watch(1, "");
  world_.watch(2, "/a/");
  world_.watch(3, "/a/b/1");
  world_.watch(4, "", 50);
  world_.watch(5, "", 0, true);
  world_.session->start(world_.now());
  for (int step = 0; step < 600 && !HasFailure(); ++step) {
    shards_commit();
    something_happens();
    network_delivers();
    time_passes();
  }
  all_is_well_again();
  EXPECT_EQ(world_.watches[1].map, truth(""));
  EXPECT_EQ(world_.watches[2].map, truth("/a/"));
  EXPECT_EQ(world_.watches[3].map, truth("/a/b/1"));
  EXPECT_EQ(world_.watches[4].map, truth(""));
  EXPECT_EQ(world_.watches[5].map, truth(""));
}

// Every write is answered once; what was acknowledged is applied, exactly once, and in the order of
// the calls for each key.
TEST_P(Property, WritesAreAppliedOnceAndInOrder) {
  world_.watch(1, "");
  world_.session->start(world_.now());
  std::map<CallId, std::pair<std::string, std::string>> calls;
  CallId next = 1;
  for (int step = 0; step < 600; ++step) {
    for (std::size_t i = below(3); i > 0; --i) {
      const std::string value = std::to_string(++values_);
      calls[next] = {key(), value};
      world_.session->write(next, {{.key = calls[next].first, .value = value}}, world_.now(), 1h);
      ++next;
    }
    Proxy& proxy = world_.proxy(below(3));
    const std::size_t event = below(40);
    if (event == 0) proxy.alive = !proxy.alive;
    if (event == 1) proxy.refuse = wire::Fault::busy;
    if (event == 2) proxy.refuse = wire::Fault::none;
    if (event == 3) world_.cut();
    if (event == 4) proxy.reads_nothing = !proxy.reads_nothing;
    if (event == 5) proxy.move(100);
    proxy.follow();
    network_delivers();
    time_passes();
  }
  for (std::size_t i = 0; i < 3; ++i) world_.proxy(i).refuse = wire::Fault::none;
  all_is_well_again();
  std::map<std::string, std::vector<std::string>> expected;
  for (const auto& [id, call] : calls) {
    ASSERT_TRUE(world_.answers.contains(id));
    EXPECT_TRUE(world_.answers[id].ok()) << world_.answers[id].text;
    expected[call.first].push_back(call.second);
  }
  EXPECT_EQ(world_.shards.history, expected);
}

// What is not told of one by one is counted, however the proxy's queue fills and drains.
TEST_P(Property, EachUpdateIsToldOrCountedAsMissed) {
  world_.watch(1, "");
  world_.start();
  Proxy& proxy = world_.linked();
  ASSERT_EQ(world_.watches[1].syncs.size(), 1u);
  for (int step = 0; step < 400; ++step) {
    shards_commit();
    if (below(8) == 0) proxy.room = below(6);
    if (below(8) == 0) proxy.room = SIZE_MAX;
    if (below(8) == 0) proxy.lingers = !proxy.lingers;
    if (below(20) == 0) proxy.log_reach = below(40);
    proxy.follow(below(8));
    if (below(3) > 0) proxy.flush();
    proxy.serve();
    network_delivers();
  }
  proxy.lingers = false;
  proxy.room = SIZE_MAX;
  proxy.follow();
  world_.settle();
  const auto& seen = world_.watches[1];
  const auto live =
      std::ranges::count_if(seen.reported, [](const auto& each) { return each[0] != '~'; });
  EXPECT_EQ(static_cast<std::uint64_t>(live) + seen.missed, world_.shards.log.size());
  EXPECT_EQ(seen.missed, proxy.dropped);
  EXPECT_GT(seen.missed, 0u);
  EXPECT_EQ(seen.map, world_.shards.state);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Property, testing::Range<std::uint64_t>(1, 61));

}  // namespace
}  // namespace canopy::client
