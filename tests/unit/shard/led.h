// A partition that its only replica leads, in memory: what is proposed is committed at once.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "shard/partition.h"

namespace canopy::shard {

class Led {
 public:
  explicit Led(Partition::Settings settings = {.subtree = "/p/"}, std::uint32_t epoch = 7,
               cluster::Replica::Recovered recovered = {}, keyspace::ReplicaLog::Limits log = {},
               base::TimePoint now = base::TimePoint{std::chrono::hours(1)},
               std::uint64_t lineage = 1)
      : replica_({.partition = settings.subtree,
                  .self = {"s1", "identity"},
                  .placement = {"s1"},
                  .retain = settings.retain,
                  .forgetful = true,
                  .log = log,
                  .random = [lineage] { return lineage; }},
                 with_record(std::move(recovered)), now) {
    replica_.on_generation(epoch);
    run([&](auto& out) { replica_.on_deadline(now + std::chrono::years(1), now, out); }, now);
    run([&](auto& out) { replica_.on_shards({"s1"}, now, out); }, now);
    run([&](auto& out) { replica_.on_record(std::nullopt, 0, now, out); }, now);
    run([&](auto& out) { replica_.tick(now, out); }, now);
    EXPECT_TRUE(replica_.leads(now));
    partition_.emplace(std::move(settings), replica_);
  }

  Partition& partition() { return *partition_; }
  const cluster::Replica& replica() const { return replica_; }
  const keyspace::Tree& tree() const { return replica_.tree(); }
  keyspace::Revision revision() const { return replica_.committed(); }

  // Proposes what is staged without storing it.
  void propose(base::TimePoint now) {
    if (!partition_->staged()) return;
    replica_.propose(partition_->take_staged(), now, effects_);
  }
  // Commits what is staged, and what was proposed.
  Partition::Committed commit(base::TimePoint now) {
    propose(now);
    settle(now);
    return partition_->commit(std::exchange(effects_.committed, {}), now);
  }

 private:
  // A store that holds something of a partition holds a record of it.
  static cluster::Replica::Recovered with_record(cluster::Replica::Recovered recovered) {
    if (!recovered.history.empty() && !recovered.record) {
      recovered.record = {.epoch = recovered.history.back().epoch,
                          .lineage = recovered.history.back().lineage,
                          .leader = {"s1", "identity"},
                          .in_sync = {{"s1", "identity"}}};
    }
    return recovered;
  }
  template <typename Call>
  void run(Call&& call, base::TimePoint now) {
    call(effects_);
    settle(now);
  }
  void settle(base::TimePoint now) {
    while (!effects_.store.empty() || effects_.proposal) {
      if (!effects_.store.empty()) {
        const std::uint64_t sequence = effects_.store.back().sequence;
        effects_.store.clear();
        replica_.stored(sequence, now, effects_);
      }
      if (effects_.proposal) {
        const auto proposal = *std::exchange(effects_.proposal, std::nullopt);
        replica_.on_proposed(true, now, effects_);
        replica_.on_record(proposal.record, ++version_, now, effects_);
      }
    }
  }

  cluster::Replica replica_;
  std::uint64_t version_ = 0;
  cluster::Replica::Effects effects_{};
  std::optional<Partition> partition_{};
};

}  // namespace canopy::shard
