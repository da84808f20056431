// What must hold whatever the network and the proxies do; World checks each event as it comes.
#include <gmock/gmock.h>

#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

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

  // Frames of the two connections come in any order between them; stream frames may be lost.
  void network_delivers() {
    for (std::size_t i = below(8); i > 0; --i) {
      switch (below(8)) {
        case 0:
          if (!world_.from_streams.empty()) {
            world_.from_streams.erase(
                world_.from_streams.begin() +
                static_cast<std::ptrdiff_t>(below(world_.from_streams.size())));
          }
          break;
        case 1:
        case 2:
        case 3: world_.deliver_stream(); break;
        case 4:
        case 5: world_.deliver_request(); break;
        default: world_.deliver_answer();
      }
    }
  }

  void something_happens() {
    Proxy& proxy = world_.proxy(below(3));
    switch (below(60)) {
      case 0: proxy.alive = !proxy.alive; break;
      case 1: proxy.restart(); break;
      case 2: proxy.move(300); break;
      case 3: proxy.log_reach = below(40); break;
      case 4: proxy.heartbeat(); break;
      case 5: world_.shards.restart("/a/", {"/a/1", "/a/2", "/a/3"}); break;
      case 6: world_.from_requests.clear(); break;
      case 7: world_.to_proxy.clear(); break;
      default: break;
    }
    proxy.follow(below(4));
    proxy.flush();
  }

  void time_passes() {
    world_.clock.advance(std::chrono::milliseconds(below(200)));
    world_.session->tick(world_.now());
  }

  void all_is_well_again() {
    for (std::size_t i = 0; i < 3; ++i) {
      world_.proxy(i).alive = true;
      world_.proxy(i).log_reach = SIZE_MAX;
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
    if (event == 3) world_.from_requests.clear();
    if (event == 4) world_.to_proxy.clear();
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

INSTANTIATE_TEST_SUITE_P(Seeds, Property, testing::Range<std::uint64_t>(1, 61));

}  // namespace
}  // namespace canopy::client
