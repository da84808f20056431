#include "core/net/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <thread>
#include <vector>

#include "core/net/signals.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;

class LoopTest : public testing::Test {
 protected:
  base::SystemClock clock_;
  Loop loop_{clock_};
};

TEST_F(LoopTest, TimersRunInOrderAndOncePerPeriod) {
  std::vector<int> ran;
  loop_.after(20ms, [&] { ran.push_back(2); });
  loop_.after(5ms, [&] { ran.push_back(1); });
  const auto cancelled = loop_.after(1ms, [&] { ran.push_back(0); });
  loop_.cancel(cancelled);
  int beats = 0;
  loop_.every(10ms, [&] {
    if (++beats == 3) loop_.stop();
  });
  loop_.run();
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
  EXPECT_EQ(beats, 3);
}

// As after a suspension: the clock moves on by many periods between two turns.
TEST(LoopTimers, ALateTimerRunsOnceAndThenAPeriodLater) {
  base::ManualClock clock;
  Loop loop(clock);
  const base::TimePoint start = clock.now();
  std::vector<base::Duration> ran;
  loop.every(1s, [&] { ran.push_back(clock.now() - start); });
  clock.advance(63s);
  int turns = 0;
  loop.on_turn_end([&] {
    clock.advance(500ms);
    if (++turns == 4) loop.stop();
  });
  loop.every(1ms, [] {});  // no turn waits
  loop.run();
  EXPECT_EQ(ran, (std::vector<base::Duration>{63s, 64s}));
}

TEST(LoopTimers, PeriodsBeginTogether) {
  base::ManualClock clock;
  Loop loop(clock);
  const base::TimePoint start = clock.now();
  std::vector<base::Duration> seconds;
  std::vector<base::Duration> halves;
  loop.every(1s, [&] { seconds.push_back(clock.now() - start); });
  clock.advance(300ms);
  loop.every(500ms, [&] { halves.push_back(clock.now() - start); });
  loop.on_turn_end([&] {
    clock.advance(100ms);
    if (clock.now() - start > 2s) loop.stop();
  });
  loop.every(1ms, [] {});  // no turn waits
  loop.run();
  EXPECT_EQ(seconds, (std::vector<base::Duration>{1s, 2s}));
  EXPECT_EQ(halves, (std::vector<base::Duration>{500ms, 1s, 1500ms, 2s}));
}

TEST_F(LoopTest, TellsWhenTheOtherEndIsGone) {
  std::array<int, 2> pipe_ends{}, socket_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends.data()), 0);
  ASSERT_EQ(write(socket_ends[0], "x", 1), 1) << "something to read is not the end";
  int gone = 0;
  for (const int fd : {pipe_ends[1], socket_ends[1]}) {
    loop_.on_hangup(fd, [this, fd, &gone] {
      loop_.remove(fd);
      if (++gone == 2) loop_.stop();
    });
  }
  int at_first = -1;
  loop_.after(10ms, [&] {
    at_first = gone;
    close(pipe_ends[0]);
    close(socket_ends[0]);
  });
  loop_.run();
  EXPECT_EQ(at_first, 0);
  EXPECT_EQ(gone, 2);
  close(pipe_ends[1]);
  close(socket_ends[1]);
}

TEST_F(LoopTest, FindsWhatAHandlerLeftUnread) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "12345", 5), 5);
  std::string seen;
  loop_.on_readable(ends[0], [&] {
    char byte = 0;
    if (read(ends[0], &byte, 1) == 1) seen += byte;
  });
  loop_.on_turn_end([&] {
    seen += " ";
    if (seen.size() >= 10) loop_.stop();
  });
  loop_.run();
  EXPECT_EQ(seen, "1 2 3 4 5 ") << "one a turn";
  for (const int fd : ends) close(fd);
}

TEST_F(LoopTest, AHandlerMayRemoveItself) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  int calls = 0;
  loop_.on_readable(ends[0], [&] {
    ++calls;
    loop_.remove(ends[0]);
  });
  loop_.after(30ms, [&] { loop_.stop(); });
  loop_.run();
  EXPECT_EQ(calls, 1) << "the byte is unread, but the loop no longer watches the pipe";
  for (const int fd : ends) close(fd);
}

TEST_F(LoopTest, SignalsAreEvents) {
  Signals signals{SIGUSR1};
  int seen = 0;
  signals.attach(loop_, [&](int signal) {
    seen = signal;
    loop_.stop();
  });
  raise(SIGUSR1);
  loop_.run();
  EXPECT_EQ(seen, SIGUSR1);
}

struct Recorder : EventHandler {
  void on_events(bool readable, bool writable) override {
    events.emplace_back(readable, writable);
    if (then) then();
  }
  std::vector<std::pair<bool, bool>> events;
  std::function<void()> then;
};

TEST_F(LoopTest, TellsWhatADescriptorIsReadyForAsFarAsItIsWanted) {
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  Recorder recorder;
  recorder.then = [this] { loop_.stop(); };
  loop_.watch(ends[0], recorder, {.writable = true});
  loop_.run();
  loop_.change(ends[0], {.readable = true});
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  loop_.run();
  EXPECT_EQ(recorder.events, (std::vector<std::pair<bool, bool>>{{false, true}, {true, false}}));
  loop_.change(ends[0], {});
  close(ends[1]);
  loop_.run();
  EXPECT_EQ(recorder.events.back(), std::pair(true, true)) << "it is gone";
  loop_.unwatch(ends[0]);
  close(ends[0]);
}

TEST_F(LoopTest, HandlersMayUnwatchEachOther) {
  std::array<std::array<int, 2>, 2> pairs{};
  std::array<Recorder, 2> recorders;
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i].data()), 0);
    ASSERT_EQ(write(pairs[i][1], "x", 1), 1);
    loop_.watch(pairs[i][0], recorders[i], {.readable = true});
    recorders[i].then = [&, i] {
      loop_.unwatch(pairs[i][0]);
      loop_.unwatch(pairs[1 - i][0]);
      loop_.stop();
    };
  }
  loop_.run();
  EXPECT_EQ(recorders[0].events.size() + recorders[1].events.size(), 1u);
  for (const auto& pair : pairs) {
    for (const int fd : pair) close(fd);
  }
}

TEST_F(LoopTest, RunsWhatOtherThreadsPostInTheirOrder) {
  std::vector<int> ran;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i) {
      loop_.post([&ran, i] { ran.push_back(i); });
    }
    loop_.post([this] { loop_.stop(); });
  });
  loop_.run();
  poster.join();
  ASSERT_EQ(ran.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(ran));
}

TEST_F(LoopTest, ATurnReadsThenWorksThenFlushes) {
  std::string phases;
  loop_.on_flush([&] {
    phases += "f";
    loop_.stop();
  });
  loop_.on_turn_end([&] { phases += "w"; });
  loop_.after(0ms, [&] { phases += "t"; });
  loop_.post([&] { phases += "r"; });
  loop_.run();
  EXPECT_EQ(phases, "rtwf");
}

}  // namespace
}  // namespace canopy::net
