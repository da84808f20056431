#include "client/canopy/callbacks.h"

#include <gmock/gmock.h>

#include <future>

namespace canopy {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr std::size_t ample_bytes = 1 << 20;

// What the callbacks of a queue were called with is in `seen`. A queue is filled before it is
// started.
class CallbackQueueTest : public testing::Test {
 protected:
  std::shared_ptr<CallbackQueue> make(std::size_t max_bytes) {
    return std::make_shared<CallbackQueue>(
        Watcher{.on_change =
                    [this](const Change& change) {
                      seen.push_back(std::string(change.key) + "=" +
                                     (change.deleted ? "none" : std::string(change.value)));
                    },
                .on_gap =
                    [this](std::optional<std::uint64_t> updates) {
                      seen.push_back("gap " + std::to_string(*updates));
                    }},
        max_bytes);
  }

  // Safe to read once a queue was stopped.
  std::vector<std::string> seen;
};

TEST_F(CallbackQueueTest, WithinTheBoundEachChangeIsPassedInOrder) {
  const auto queue = make(ample_bytes);
  for (const char* value : {"1", "2", "3"}) queue->change({.key = "a", .value = value});
  queue->start();
  queue->stop(CallbackQueue::Rest::run);
  EXPECT_THAT(seen, ElementsAre("a=1", "a=2", "a=3"));
  EXPECT_EQ(queue->bytes(), 0u);
  EXPECT_EQ(queue->merged(), 0u);
}

TEST_F(CallbackQueueTest, AboveTheBoundTheLatestValueOfEachKeyIsPassed) {
  const auto queue = make(1);
  CallbackQueue::Task synced = [this] { seen.push_back("synced"); };
  CallbackQueue::Task first = [this] { seen.push_back("first"); };
  queue->post(first);
  queue->change({.key = "a", .value = "1"});
  queue->change({.key = "b", .value = "1"});
  queue->post(synced);
  std::size_t bytes = 0;
  for (int i = 2; i < 1000; ++i) {
    queue->change({.key = "b", .value = std::to_string(i)});
    if (i == 100) bytes = queue->bytes();
  }
  queue->change({.key = "b", .deleted = true});
  EXPECT_LE(queue->bytes(), bytes);
  EXPECT_EQ(queue->merged(), 999u);
  queue->start();
  queue->stop(CallbackQueue::Rest::run);
  EXPECT_THAT(seen, ElementsAre("gap 999", "first", "a=1", "b=none", "synced"));
}

TEST_F(CallbackQueueTest, StoppingDropsWhatWaitsAndDestroysWhatCallbacksOwn) {
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = owned;
  const auto queue = std::make_shared<CallbackQueue>(
      Watcher{.on_change = [owned = std::move(owned)](const Change&) { ++*owned; }}, 0);
  queue->start();
  queue->change({.key = "a"});
  queue->stop(CallbackQueue::Rest::drop);
  EXPECT_TRUE(watched.expired());
  queue->change({.key = "b"});
  CallbackQueue::Task late = [] {};
  EXPECT_FALSE(queue->post(late));
  EXPECT_EQ(queue->size(), 0u);
}

TEST_F(CallbackQueueTest, ACallbackMayStopItsOwnQueue) {
  std::shared_ptr<CallbackQueue> queue;
  std::promise<void> ended;
  queue = std::make_shared<CallbackQueue>(Watcher{.on_change =
                                                      [&](const Change& change) {
                                                        seen.emplace_back(change.key);
                                                        queue->stop(CallbackQueue::Rest::drop);
                                                        ended.set_value();
                                                      }},
                                          ample_bytes);
  queue->change({.key = "a"});
  queue->change({.key = "b"});
  queue->start();
  ended.get_future().wait();
  queue->stop(CallbackQueue::Rest::drop);
  EXPECT_THAT(seen, ElementsAre("a"));
}

TEST_F(CallbackQueueTest, MayBeStoppedByManyThreads) {
  for (int round = 0; round < 100; ++round) {
    const auto queue = std::make_shared<CallbackQueue>(
        Watcher{.on_change = [](const Change&) { std::this_thread::yield(); }}, 64);
    queue->start();
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&queue, i] {
        for (int j = 0; j < 20; ++j) queue->change({.key = i == 0 ? "a" : "b"});
        queue->stop(CallbackQueue::Rest::drop);
      });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(queue->bytes(), 0u);
  }
}

}  // namespace
}  // namespace canopy
