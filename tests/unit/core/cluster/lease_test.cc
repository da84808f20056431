// The deadline of a lease, with a registry that restarts and a network that delays: no watcher sees
// the process as gone before its deadline.
#include "core/cluster/lease.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <variant>

#include "core/cluster/registry.h"

namespace canopy::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(LeaseTest, CountsFromWhenTheRenewalThatWasAnsweredWasSent) {
  const base::TimePoint start{seconds(1000)};
  Lease lease;
  lease.asked(1, start);
  lease.asked(2, start + seconds(1));
  EXPECT_EQ(lease.deadline(), std::nullopt);
  lease.answered(2, seconds(3));
  EXPECT_EQ(lease.deadline(), start + seconds(4));
  lease.answered(1, seconds(3));
  EXPECT_EQ(lease.deadline(), start + seconds(4)) << "an older one";
  lease.answered(3, seconds(3));
  EXPECT_EQ(lease.deadline(), start + seconds(4)) << "one that was not asked";
  lease.resign();
  EXPECT_EQ(lease.deadline(), std::nullopt);
  lease.take_up();
  EXPECT_EQ(lease.deadline(), start + seconds(4));
}

TEST(LeaseTest, AfterAnOwnCloseOnlyTheGraceIsLeft) {
  const base::TimePoint start{seconds(1000)};
  Lease lease;
  lease.closed_here(start);
  EXPECT_EQ(lease.deadline(), std::nullopt);
  lease.asked(1, start);
  lease.answered(1, seconds(3));
  lease.asked(2, start + seconds(1));
  lease.closed_here(start + seconds(1));
  EXPECT_EQ(lease.deadline(), start + seconds(1) + closed_grace);
  lease.answered(2, seconds(3));
  EXPECT_EQ(lease.deadline(), start + seconds(1) + closed_grace) << "of the connection before";
}

// A process, a registry on the same machine, and a watcher that receives everything at once.
class LeaseWorld {
 public:
  explicit LeaseWorld(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
    EXPECT_GT(gone_, 20);
    EXPECT_GT(held_, steps / 4);
    EXPECT_GT(cut_short_, 5) << "ends of leases after the process closed its connection";
  }

 private:
  struct Sent {  // by the process; number 0: the end of its connection
    base::TimePoint arrives{};
    std::uint64_t number = 0;
    bool registers = false;
  };
  struct Answered {
    base::TimePoint arrives{};
    std::uint64_t number = 0;  // 0: unknown session
    base::Duration lease{};
  };
  // A connection keeps the order of its messages.
  struct Connection {
    std::deque<Sent> to_registry{};
    std::deque<Answered> to_process{};
  };

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
  base::TimePoint arrival(base::TimePoint last) {
    return std::max(last, now_ + milliseconds(pick(10) == 0 ? pick(4000) : pick(100)));
  }

  void step() {
    now_ += milliseconds(1 + pick(100));
    if (pick(400) == 0) restart();
    if (pick(200) == 0) close_connection();
    if (pick(300) == 0) connections_.emplace_back();  // the one before broke, and nobody saw it
    if (pick(200) == 0) asleep_until_ = now_ + milliseconds(pick(6000));
    serve();
    speak();
    watch();
    if (const auto deadline = lease_.deadline(); deadline && now_ < *deadline) ++held_;
  }

  void close_connection() {
    lease_.closed_here(now_);
    send({.number = 0});
    connections_.emplace_back();
    live_ = false;
  }

  void restart() {
    down_until_ = now_ + milliseconds(pick(3000));
    lease_length_ = milliseconds(1000 + pick(3000));
    registry_ = Registry(
        lease_length_, DirectoryRecord({.reserved = registry_.last_generation()}, {}), down_until_);
    connections_.assign(1, {});
    watching_ = false;
  }

  // --- the process -------------------------------------------------------------------------
  void send(Sent sent) {
    auto& line = connections_.back().to_registry;
    sent.arrives = arrival(line.empty() ? now_ : line.back().arrives);
    line.push_back(sent);
  }

  void speak() {
    auto& answers = connections_.back().to_process;
    for (; !answers.empty() && answers.front().arrives <= now_; answers.pop_front()) {
      const Answered& answer = answers.front();
      live_ = answer.number != 0;
      if (live_) lease_.answered(answer.number, answer.lease);
    }
    if (now_ < asleep_until_ || now_ < speaks_next_) return;
    speaks_next_ = now_ + (live_ ? std::min<base::Duration>(lease_length_ / 3, seconds(1))
                                 : base::Duration(seconds(1)));
    lease_.asked(++sent_, now_);
    send({.number = sent_, .registers = !live_ || pick(20) == 0});
  }

  // --- the registry ------------------------------------------------------------------------
  void serve() {
    if (now_ < down_until_) {  // what is sent to it is lost
      for (Connection& connection : connections_) connection.to_registry.clear();
      return;
    }
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      auto& line = connections_[i].to_registry;
      for (; !line.empty() && line.front().arrives <= now_; line.pop_front()) {
        hear(connections_[i], line.front());
        // A newer connection replaces the earlier ones, which are closed.
        while (i > 0) connections_.pop_front(), --i;
      }
    }
    tell(registry_.expire(now_));
  }

  void hear(Connection& connection, const Sent& sent) {
    if (sent.number == 0) {
      closed_ = true;
      return tell(registry_.disconnected("P", now_));
    }
    if (sent.registers) {
      tell(registry_.register_process("P", {.name = "p"}, now_));
    } else {
      tell(registry_.ping("P", now_));
    }
    closed_ = false;
    const bool known = registry_.knows("P");
    if (known) tell(registry_.announce("P", "shards/p", "here", now_));
    auto& line = connection.to_process;
    line.push_back({.arrives = arrival(line.empty() ? now_ : line.back().arrives),
                    .number = known ? sent.number : 0,
                    .lease = registry_.lease()});
  }

  // --- the watcher -------------------------------------------------------------------------
  void watch() {
    if (now_ < down_until_) return;
    if (watching_) {
      tell(registry_.ping("W", now_));
    } else if (pick(10) == 0) {
      longest_lease_ = std::max(longest_lease_, lease_length_);
      watching_ = true;
      confirmed_ = false;
      tell(registry_.register_process("W", {.name = "w"}, now_));
      tell(registry_.watch("W", "", now_));
      doubt_ends_ = now_ + longest_lease_;
    }
    if (watching_ && knows_ && !confirmed_ && now_ >= doubt_ends_) process_is_gone();
  }

  void tell(const Effects& effects) {
    for (const Message& message : effects.messages) {
      const auto* change = std::get_if<KeyChanged>(&message.body);
      if (message.to != "W" || change == nullptr) continue;
      if (change->value) {
        knows_ = confirmed_ = true;
      } else {
        if (closed_) ++cut_short_;
        process_is_gone();
      }
    }
  }

  void process_is_gone() {
    knows_ = false;
    ++gone_;
    const auto deadline = lease_.deadline();
    EXPECT_FALSE(deadline && now_ < *deadline)
        << "reported gone " << std::chrono::duration_cast<milliseconds>(*deadline - now_).count()
        << " ms before the deadline";
  }

  std::mt19937 random_;
  base::TimePoint now_{seconds(1000)};
  base::Duration lease_length_ = seconds(3);
  Registry registry_{lease_length_};
  base::TimePoint down_until_ = now_;
  std::deque<Connection> connections_{1};

  Lease lease_;
  bool live_ = false;
  std::uint64_t sent_ = 0;
  base::TimePoint speaks_next_ = now_;
  base::TimePoint asleep_until_ = now_;

  bool watching_ = false;
  bool knows_ = false;      // the watcher was told of the process
  bool confirmed_ = false;  // since it registered last
  base::TimePoint doubt_ends_{};
  base::Duration longest_lease_ = lease_length_;

  bool closed_ = false;  // the process has, and has sent nothing since
  int gone_ = 0;
  int held_ = 0;
  int cut_short_ = 0;
};

class LeasePropertyTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(LeasePropertyTest, NobodyIsToldThatAProcessIsGoneBeforeItsDeadline) {
  LeaseWorld(GetParam()).run(20'000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LeasePropertyTest, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace canopy::cluster
