// Clients, watches and maps that end at any moment. There is no cluster: what a cluster sends is
// tested by tests/package/consumer.cc. Under ThreadSanitizer this finds races.
#include <canopy/canopy.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace canopy {
namespace {

using namespace std::chrono_literals;

Options nowhere() { return {.proxies = {"tcp://127.0.0.1:1"}, .timeout = 10s}; }

TEST(ClientTest, EndsWhileOtherThreadsWait) {
  for (int round = 0; round < 20; ++round) {
    auto client = std::make_unique<Client>(nowhere());
    std::atomic<int> closed = 0;
    std::vector<std::thread> threads;
    std::atomic<int> started = 0;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i, &each = *client] {
        ++started;
        try {
          i % 2 == 0 ? (void)each.put("/a", "x") : (void)each.get("/a");
        } catch (const Error& error) {
          closed += error.number() == Error::closed ? 1 : 0;
        }
      });
    }
    while (started < 4 || client->stats().open_calls < 4) std::this_thread::sleep_for(1ms);
    client.reset();
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(closed, 4);
  }
}

TEST(ClientTest, CancelsFromAnyThreadAtAnyMoment) {
  Client client(nowhere());
  for (int round = 0; round < 200; ++round) {
    std::stop_source stop;
    std::thread stopper([&] { stop.request_stop(); });
    try {
      client.put("/a", "x", {.call = {.stop = stop.get_token()}});
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.number(), Error::cancelled);
    }
    stopper.join();
  }
  EXPECT_EQ(client.stats().open_calls, 0u);
}

TEST(ClientTest, SubscriptionsAndMapsEndWithTheClientAtOnce) {
  for (int round = 0; round < 50; ++round) {
    auto client = std::make_unique<Client>(nowhere());
    Map map(*client, "/");
    Map moved = std::move(map);
    map = Map(*client, "/other/");
    moved = std::move(map);
    Subscription watch = client->watch("/", [](const Change&) {});
    std::thread ender([&] { watch.reset(); });
    client.reset();
    ender.join();
    EXPECT_FALSE(moved.synced());
    EXPECT_FALSE(moved.wait_synced(1ms));
  }
}

TEST(ClientTest, CallbacksOfOpenCallsAreCalledBeforeItHasEnded) {
  std::atomic<int> closed = 0;
  {
    Client client(nowhere());
    for (int i = 0; i < 50; ++i) {
      client.put("/a", "x", {}, [&](const Error* error, std::uint64_t) {
        try {
          client.get("/a");
        } catch (const Error& inner) {
          closed += error->number() == Error::closed && inner.number() == Error::closed ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(closed, 50);
}

}  // namespace
}  // namespace canopy
