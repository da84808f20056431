#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <vector>

#include "tests/unit/core/cluster/leader.h"

namespace canopy::cluster {
namespace {

using namespace std::chrono_literals;

// A leader writes, restarts and loses its state, in a higher, equal or lower epoch. Its link drops
// batches, delays and loses replies, and still carries batches of the former leader. A client that
// applies what the mirror passes on holds the leader's state, the count of missed updates is exact,
// and the mirror can catch up a client from any revision since its floor.
class MirrorProperty : public testing::TestWithParam<unsigned> {
 protected:
  using Random = std::mt19937::result_type;

  void SetUp() override { mirror_.start(now_, effects_); }

  std::unique_ptr<Leader> new_leader() {
    auto leader = std::make_unique<Leader>(epoch_, 20, 30);
    history_ = {{leader->revision(), {}}};
    return leader;
  }

  bool one_of(Random n) { return random_() % n == 0; }

  // A request of the mirror reaches the leader, or is lost.
  void send(const std::string& request) {
    const auto decoded = wire::decode_to_shard(request);
    ASSERT_TRUE(decoded);
    const auto* sync = std::get_if<wire::Sync>(&*decoded);
    if (sync != nullptr && !one_of(8)) in_flight_ = leader_->answer(*sync);
  }

  void apply_effects() {
    if (!was_ready_ && mirror_.ready()) {
      was_ready_ = true;
      client_ = contents(mirror_.tree());
    } else {
      for (const UpdatePtr& update : effects_.applied) {
        if (update->deleted) {
          client_.erase(std::string(update->key));
        } else {
          client_[std::string(update->key)] = update->value;
        }
      }
    }
    counted_dropped_ += effects_.missed;
    new_histories_ += effects_.new_history;
    for (const auto& request : effects_.requests) send(request);
    effects_ = {};
  }

  void deliver(const wire::Batch& batch) {
    mirror_.on_batch(batch, now_, effects_);
    if (seen_in_epoch_) dropped_ += pending_dropped_;
    pending_dropped_ = 0;
    seen_in_epoch_ = true;
  }

  void deliver_chunk() {
    if (in_flight_.empty()) return;
    mirror_.on_chunk(in_flight_.front(), now_, effects_);
    in_flight_.erase(in_flight_.begin());
  }

  void write(int step) {
    const std::string key = "/p/" + std::to_string(random_() % 20);
    const auto batch = leader_->write(key, one_of(5) ? "" : std::to_string(step));
    history_[leader_->revision()] = contents(leader_->tree());
    if (one_of(10)) {
      ++pending_dropped_;
    } else {
      deliver(batch);
    }
  }

  void restart_leader(int step) {
    late_.clear();
    if (pending_dropped_ == 0 && mirror_.lineage() == leader_->lineage()) {
      for (int i = 0; i < 3; ++i) late_.push_back(leader_->write("/p/late", std::to_string(step)));
    }
    epoch_ += static_cast<std::uint32_t>(random_() % 3) - 1;
    leader_ = new_leader();
    in_flight_.clear();
    seen_in_epoch_ = false;
    pending_dropped_ = 0;
  }

  void act(int step) {
    const auto action = random_() % 100;
    if (action < 60) {
      write(step);
    } else if (action < 62 && one_of(8)) {
      restart_leader(step);
    } else if (action < 70) {
      deliver(leader_->heartbeat());
    } else if (action < 73 && !late_.empty()) {
      mirror_.on_batch(late_.front(), now_, effects_);
      late_.pop_front();
    } else {
      deliver_chunk();
    }
  }

  void check() {
    if (!was_ready_) return;
    ASSERT_EQ(client_, contents(mirror_.tree()));
    if (mirror_.lineage() != leader_->lineage()) return;
    const auto from = history_.lower_bound(mirror_.tombstones().floor());
    const auto to = history_.find(mirror_.revision());
    ASSERT_NE(to, history_.end());
    auto since = from;
    std::advance(since, random_() % (1 + static_cast<Random>(std::distance(from, to))));
    ASSERT_EQ(caught_up(since->second, since->first, mirror_), to->second);
    caught_up_from_afar_ += std::distance(since, to) > 20;
  }

  bool in_step() const {
    return mirror_.ready() && mirror_.lineage() == leader_->lineage() &&
           mirror_.revision() == leader_->revision();
  }

  void settle() {
    deliver(leader_->heartbeat());
    for (int i = 0; i < 2000 && !in_step(); ++i) {
      now_ += 100ms;
      apply_effects();
      deliver_chunk();
      if (i % 10 == 0) deliver(leader_->heartbeat());
      mirror_.tick(now_, effects_);
    }
    apply_effects();
  }

  std::mt19937 random_{GetParam()};
  base::TimePoint now_{1h};
  std::uint32_t epoch_ = 100;
  std::map<Revision, Map> history_{};  // the states of this epoch
  std::unique_ptr<Leader> leader_ = new_leader();
  Mirror mirror_{"/p/", {.held_updates = 30, .held_bytes = 1 << 20}};
  Mirror::Effects effects_{};
  Map client_{};  // holds what the mirror has passed on
  bool was_ready_ = false;
  std::vector<wire::Chunk> in_flight_{};
  std::deque<wire::Batch> late_{};  // of the former leader, still on the way
  bool seen_in_epoch_ = false;      // drops count only between two batches of one epoch
  std::uint64_t pending_dropped_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t counted_dropped_ = 0;
  std::size_t caught_up_from_afar_ = 0;
  std::size_t new_histories_ = 0;
};

TEST_P(MirrorProperty, EndsExactWhateverTheLinkLoses) {
  for (int step = 0; step < 3000; ++step) {
    now_ += 10ms;
    act(step);
    mirror_.tick(now_, effects_);
    apply_effects();
    check();
    if (HasFatalFailure()) return;
  }
  settle();
  EXPECT_EQ(contents(mirror_.tree()), contents(leader_->tree()));
  EXPECT_EQ(client_, contents(leader_->tree()));
  EXPECT_EQ(counted_dropped_, dropped_);
  EXPECT_GT(caught_up_from_afar_, 100u);
  EXPECT_GT(new_histories_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MirrorProperty, testing::Range(0u, 30u));

}  // namespace
}  // namespace canopy::cluster
