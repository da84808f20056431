#include "core/keyspace/replica_log.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/core/keyspace/make_update.h"

namespace canopy::keyspace {
namespace {

LogEntry entry(Revision revision) {
  return {.update = make_update({.key = "/k", .value = "1234567", .revision = revision})};
}

ReplicaLog log_of(const std::vector<EpochEnd>& epochs, ReplicaLog::Limits limits = {}) {
  ReplicaLog log(limits);
  for (const EpochEnd& epoch : epochs) {
    log.begin_epoch(epoch.epoch, epoch.lineage);
    for (std::uint64_t i = 0; i < epoch.last; ++i) log.append(entry(log.last().next()));
  }
  return log;
}

TEST(ReplicaLog, GoesOnAfterTheHistoryThatItIsGiven) {
  ReplicaLog log({}, {{1, 11, 5}, {3, 33, 2}});
  EXPECT_EQ(log.last(), Revision(3, 2));
  EXPECT_EQ(log.first(), Revision(3, 2));
  EXPECT_EQ(log.after(log.last()), nullptr);
  EXPECT_FALSE(log.reaches(Revision(3, 1)));
  log.append(entry({3, 3}));
  EXPECT_EQ(log.after(Revision(3, 2))->update->revision, Revision(3, 3));
}

TEST(ReplicaLog, AnEpochStartsAfterEverythingBefore) {
  ReplicaLog log = log_of({{1, 11, 2}, {2, 22, 0}, {4, 44, 1}});
  EXPECT_EQ(log.after(Revision(1, 2))->update->revision, Revision(4, 1));
  EXPECT_EQ(log.after(Revision(2, 0))->update->revision, Revision(4, 1));
  EXPECT_EQ(log.epoch_after(Revision(1, 2)).epoch, 2u) << "which has no entry";
  EXPECT_EQ(log.epoch_after(Revision(2, 0)).epoch, 4u);
  EXPECT_EQ(log.history_up_to({1, 1}), (std::vector<EpochEnd>{{1, 11, 1}}));
  EXPECT_EQ(log.epoch_after(Revision(1, 1)).lineage, 11u);
  EXPECT_EQ(log.epoch_after(Revision(4, 1)).epoch, 4u);
  log.truncate(Revision(2, 0));
  EXPECT_EQ(log.last(), Revision(2, 0));
  log.truncate(Revision(1, 2));
  EXPECT_EQ(log.last(), Revision(1, 2));
  EXPECT_EQ(log.history().size(), 1u);
}

TEST(ReplicaLog, TheLineageTellsEpochsOfOneNumberApart) {
  const ReplicaLog log = log_of({{1, 11, 5}, {2, 22, 3}});
  EXPECT_TRUE(log.knows(Revision(2, 3), 22));
  EXPECT_FALSE(log.knows(Revision(2, 4), 22));
  EXPECT_FALSE(log.knows(Revision(2, 3), 99));
  EXPECT_FALSE(log.knows(Revision(3, 0), 22));
  EXPECT_EQ(log.common(std::vector<EpochEnd>{{1, 11, 9}}), Revision(1, 5));
  EXPECT_EQ(log.common(std::vector<EpochEnd>{{1, 11, 4}, {2, 99, 3}}), Revision(1, 4));
  EXPECT_EQ(log.common(std::vector<EpochEnd>{{1, 11, 5}, {2, 22, 1}, {3, 33, 7}}), Revision(2, 1));
  EXPECT_EQ(log.common(std::vector<EpochEnd>{{2, 99, 3}, {5, 55, 1}}), Revision());
  EXPECT_EQ(log.common({}), Revision());
}

TEST(ReplicaLog, KeepsWhatIsNotCommittedBeyondItsBounds) {
  ReplicaLog log = log_of({{1, 11, 10}}, {.updates = 3, .bytes = 10'000});
  log.trim(Revision(1, 4));
  EXPECT_EQ(log.first(), Revision(1, 4));
  EXPECT_EQ(log.size(), 6u);
  log.trim(Revision(1, 10));
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(log.bytes(), 3 * (ReplicaLog::entry_bytes + 9));
  EXPECT_FALSE(log.reaches(Revision(1, 6)));
  EXPECT_TRUE(log.reaches(Revision(1, 7)));
  ReplicaLog by_bytes =
      log_of({{1, 11, 10}}, {.updates = 100, .bytes = 2 * ReplicaLog::entry_bytes + 20});
  by_bytes.trim(Revision(1, 10));
  EXPECT_EQ(by_bytes.size(), 2u);
}

TEST(ReplicaLog, ForgetsOldEpochsButNoEntryThatIsNotCommitted) {
  ReplicaLog log = log_of({{1, 1, 2}});
  for (std::uint32_t epoch = 2; epoch <= ReplicaLog::max_epochs + 9; ++epoch) {
    log.begin_epoch(epoch, epoch);
  }
  const Revision last = log.last();
  log.trim(Revision(1, 1));
  EXPECT_EQ(log.history().size(), ReplicaLog::max_epochs);
  EXPECT_EQ(log.history().front().epoch, 1u);
  EXPECT_EQ(log.after(Revision(1, 1))->update->revision, Revision(1, 2));
  log.begin_epoch(last.epoch() + 1, 1);
  log.trim(log.last());
  EXPECT_EQ(log.history().size(), ReplicaLog::max_epochs);
  EXPECT_GT(log.history().front().epoch, 1u);
  EXPECT_EQ(log.size(), 0u);
  EXPECT_TRUE(log.reaches(last));
}

// Everything that is said of a log, said of a list of positions.
struct Model {
  struct Position {
    Revision revision;
    std::uint64_t lineage;
  };
  std::vector<Position> positions{};  // epoch starts and entries, none forgotten
  Revision first{};

  Revision last() const { return positions.empty() ? Revision() : positions.back().revision; }
  Revision entry_after(Revision position) const {
    for (const Position& each : positions) {
      if (each.revision > position && each.revision.counter() > 0) return each.revision;
    }
    return {};
  }
};

class Pair {
 public:
  explicit Pair(ReplicaLog::Limits limits) : log(limits) {}

  void begin(std::uint32_t epoch, std::uint64_t lineage) {
    log.begin_epoch(epoch, lineage);
    model.positions.push_back({Revision(epoch, 0), lineage});
  }
  void append() {
    const Revision next = log.last().next();
    log.append(entry(next));
    model.positions.push_back({next, model.positions.back().lineage});
  }
  void truncate(Revision to) {
    log.truncate(to);
    while (!model.positions.empty() && model.last() > to) model.positions.pop_back();
  }
  void trim(Revision committed) {
    log.trim(committed);
    model.first = log.first();
  }
  void check() const {
    ASSERT_EQ(log.last(), model.last());
    std::size_t entries = 0;
    for (const auto& position : model.positions) {
      ASSERT_TRUE(log.knows(position.revision, position.lineage));
      ASSERT_FALSE(log.knows(position.revision, position.lineage + 1'000));
      ASSERT_EQ(log.reaches(position.revision), position.revision >= model.first);
      if (!log.reaches(position.revision)) continue;
      entries += position.revision.counter() > 0 && position.revision > model.first;
      const LogEntry* after = log.after(position.revision);
      ASSERT_EQ(after == nullptr ? Revision() : after->update->revision,
                model.entry_after(position.revision));
    }
    ASSERT_EQ(log.size(), entries);
    ASSERT_EQ(log.bytes(), entries * (ReplicaLog::entry_bytes + 9));
  }

  ReplicaLog log;
  Model model{};
};

// The logs lead in turn; the follower copies the entries that it lacks.
TEST(ReplicaLog, DoesWhatANaiveListOfPositionsDoes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Pair one({.updates = 8, .bytes = 10'000}), two({.updates = 12, .bytes = 10'000});
    Revision committed;
    std::uint32_t epoch = 0;
    for (int step = 0; step < 40; ++step) {
      Pair& leader = random() % 2 == 0 ? one : two;
      Pair& follower = &leader == &one ? two : one;
      leader.begin(epoch += random() % 2 == 0 ? 1 : 2, random() % 900 + 1);
      for (auto count = random() % 6; count > 0; --count) leader.append();
      const Revision common = leader.log.common(follower.log.history());
      Revision expected;
      for (const auto& position : leader.model.positions) {
        if (follower.log.knows(position.revision, position.lineage)) expected = position.revision;
      }
      ASSERT_EQ(common, expected);
      ASSERT_GE(common, committed);
      if (random() % 2 == 0 && leader.log.reaches(common)) {
        follower.truncate(common);
        for (const auto& position : std::vector(leader.model.positions)) {
          if (position.revision <= common) continue;
          if (position.revision.counter() == 0) {
            follower.begin(position.revision.epoch(), position.lineage);
          } else {
            follower.append();
          }
        }
        committed = leader.log.last();
        follower.trim(committed);
        leader.trim(committed);
      } else if (leader.log.last() > committed && random() % 2 == 0) {
        leader.truncate(committed);
      }
      one.check();
      two.check();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace canopy::keyspace
