#include <gtest/gtest.h>

#include <random>

#include "tests/faults/linear.h"
#include "tests/faults/observation.h"

namespace canopy::faults {
namespace {

using Kind = Operation::Kind;
using Outcome = Verdict::Outcome;

constexpr auto never = Operation::never;

Operation set(std::int64_t call, std::int64_t returned, Value value) {
  return {.call = call, .returned = returned, .kind = Kind::set, .value = value};
}
Operation is(std::int64_t call, std::int64_t returned, Value value) {
  return {.call = call, .returned = returned, .kind = Kind::is, .expected = value};
}
Operation isnt(std::int64_t call, std::int64_t returned, Value value) {
  return {.call = call, .returned = returned, .kind = Kind::isnt, .expected = value};
}
Operation swap(std::int64_t call, std::int64_t returned, Value expected, Value value) {
  return {call, returned, Kind::swap, expected, value};
}

Outcome outcome(const std::vector<Operation>& operations) { return check(operations).outcome; }

TEST(Linear, AnEmptyHistory) { EXPECT_EQ(outcome({}), Outcome::linearizable); }

TEST(Linear, OneAfterAnother) {
  EXPECT_EQ(outcome({set(1, 2, 1), is(3, 4, 1), set(5, 6, 0), is(7, 8, 0)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, 2, 1), is(3, 4, 0)}), Outcome::violated) << "a lost write";
  EXPECT_EQ(outcome({set(1, 2, 1), set(3, 4, 2), is(5, 6, 1)}), Outcome::violated) << "it is stale";
}

TEST(Linear, ConcurrentOperationsInAnyOrder) {
  EXPECT_EQ(outcome({set(1, 9, 1), set(2, 8, 2), is(10, 11, 1)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, 9, 1), set(2, 8, 2), is(10, 11, 2)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, 9, 1), set(2, 8, 2), is(10, 11, 1), is(12, 13, 2)}), Outcome::violated);
  EXPECT_EQ(outcome({set(1, 5, 1), is(5, 6, 0)}), Outcome::linearizable) << "they touch";
}

TEST(Linear, OfTwoSwapsOfOneValueOneSucceeds) {
  EXPECT_EQ(outcome({set(1, 2, 1), swap(3, 9, 1, 2), isnt(4, 8, 1)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, 2, 1), swap(3, 9, 1, 2), swap(4, 8, 1, 3)}), Outcome::violated);
  EXPECT_EQ(outcome({swap(1, 2, 0, 1), set(3, 4, 0), swap(5, 6, 0, 2)}), Outcome::linearizable);
}

TEST(Linear, AnUnknownResultMayHappenLaterOrNever) {
  EXPECT_EQ(outcome({set(1, never, 1), is(5, 6, 0)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, never, 1), is(5, 6, 0), is(7, 8, 1)}), Outcome::linearizable);
  EXPECT_EQ(outcome({set(1, never, 1), is(5, 6, 1), is(7, 8, 0)}), Outcome::violated) << "undone";
  EXPECT_EQ(outcome({is(1, 2, 1), set(3, never, 1)}), Outcome::violated) << "before its call";
  EXPECT_EQ(outcome({set(1, never, 1), is(2, 3, 1), set(4, 5, 2), is(6, 7, 1)}), Outcome::violated)
      << "applied twice";
  EXPECT_EQ(outcome({set(1, 2, 1), swap(3, never, 1, 2), isnt(5, 6, 1)}), Outcome::linearizable);
}

TEST(Linear, ReportsTheBlockedOperation) {
  const std::vector<Operation> history = {set(1, 2, 1), is(3, 4, 1), is(5, 6, 7), set(7, 8, 2)};
  EXPECT_EQ(check(history).blocked, 2u);
}

TEST(Linear, TheSearchIsBounded) {
  EXPECT_EQ(check({set(1, 2, 1), set(3, 4, 2)}, 0, 1).outcome, Outcome::unknown);
}

// Concurrent operations, a hundred of them with an unknown result.
std::vector<Operation> random_history(std::size_t size, std::uint64_t seed, bool hints) {
  std::mt19937_64 random(seed);
  std::vector<Operation> history;
  Value value = 0;
  for (std::size_t i = 1; i <= size; ++i) {
    const auto at = static_cast<std::int64_t>(i) * 10;
    const auto around = [&] { return static_cast<std::int64_t>(random() % (hints ? 100 : 20)); };
    Operation operation = set(at - around(), at + around(), i);
    if (random() % 3 == 0) operation = swap(operation.call, operation.returned, value, i);
    if (random() % 4 == 0) operation = is(operation.call, operation.returned, value);
    if (operation.kind != Kind::is) value = i;
    if (random() % (size / 100) == 0) operation.returned = never;
    if (hints) operation.hint = i;
    history.push_back(operation);
  }
  return history;
}

TEST(Linear, LongHistoriesAreDecided) {
  std::vector<Operation> history = random_history(5000, 1, false);
  EXPECT_EQ(outcome(history), Outcome::linearizable);
  history.push_back(is(60'000, 60'001, 999'999));
  EXPECT_EQ(outcome(history), Outcome::violated);
}

TEST(Linear, AGoodHintNeedsNoSearch) {
  const Verdict verdict = check(random_history(5000, 2, true));
  EXPECT_EQ(verdict.outcome, Outcome::linearizable);
  EXPECT_LT(verdict.steps, 6000u);
}

// --- Observation ------------------------------------------------------------------------------

const std::vector<std::string> partitions = {"", "/a/", "/a/b/"};

client::Change live(std::string_view key, std::uint32_t epoch, std::uint64_t counter) {
  return {.key = key, .value = "v", .revision = keyspace::Revision(epoch, counter), .live = true};
}
client::Change synced(std::string_view key, std::uint32_t epoch, std::uint64_t counter) {
  client::Change change = live(key, epoch, counter);
  change.live = false;
  return change;
}

constexpr base::TimePoint start(std::chrono::hours(1));

// The first finding after all changes, which arrive at the same time.
std::string found(Observation& observation, const std::vector<client::Change>& changes,
                  base::TimePoint at = start) {
  for (const auto& each : changes) observation.changed(each, at);
  const auto findings = observation.findings(at + Observation::takeover);
  if (findings.empty()) return "in order";
  return findings.front().hole ? "a hole" : findings.front().what;
}
std::string found(const std::vector<client::Change>& changes) {
  Observation observation(partitions, true);
  return found(observation, changes);
}
client::Change gone(client::Change change) {
  change.deleted = true;
  change.value = {};
  return change;
}

TEST(Observation, AKeyBelongsToTheLongestPartition) {
  EXPECT_EQ(partition_of(partitions, "/z"), 0u);
  EXPECT_EQ(partition_of(partitions, "/a/z"), 1u);
  EXPECT_EQ(partition_of(partitions, "/a/b/z"), 2u);
}

TEST(Observation, RevisionsGrowWithoutAHole) {
  EXPECT_EQ(found({live("/k", 1, 1), live("/l", 1, 2), live("/a/k", 1, 9), live("/k", 1, 3)}),
            "in order");
  EXPECT_EQ(found({live("/k", 1, 1), live("/l", 1, 3)}), "a hole");
  EXPECT_EQ(found({live("/k", 1, 2), live("/l", 1, 1)}), "a partition went back");
  EXPECT_EQ(found({live("/k", 1, 1), live("/k", 1, 1)}), "received twice");
  EXPECT_EQ(found({live("/k", 1, 9), live("/l", 2, 1)}), "in order") << "another epoch";
  EXPECT_EQ(found({live("/k", 2, 1), live("/l", 1, 9)}), "a partition went back");
}

TEST(Observation, AHoleHasItsEnds) {
  Observation observation(partitions, true);
  observation.changed(live("/a/k", 3, 4), start);
  observation.changed(live("/a/l", 3, 8), start);
  EXPECT_TRUE(observation.findings(start).empty()) << "a new epoch may follow";
  const auto findings = observation.findings(start + Observation::takeover);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].hole,
            (Observation::Hole{1, keyspace::Revision(3, 5), keyspace::Revision(3, 7)}));
  EXPECT_TRUE(observation.findings(base::TimePoint::max()).empty()) << "once";
}

TEST(Observation, ANewEpochBringsTheDifferenceByKey) {
  Observation observation(partitions, true);
  EXPECT_EQ(found(observation,
                  {live("/a", 1, 1), live("/b", 1, 5), live("/c", 1, 4), gone(live("/d", 2, 0)),
                   gone(live("/e", 2, 0)), live("/f", 1, 3), live("/g", 2, 1)}),
            "in order");
  EXPECT_EQ(observation.takeovers(), 3u);
  EXPECT_EQ(found(observation, {live("/h", 1, 9)}, start + Observation::takeover),
            "a partition went back")
      << "later it is wrong";
}

TEST(Observation, StrictFaultsAroundANewEpochAreFindings) {
  Observation observation(partitions, true, true);
  EXPECT_EQ(found(observation, {live("/b", 1, 5), live("/c", 1, 4), live("/g", 2, 1)}),
            "a partition went back");
}

TEST(Observation, FaultsAroundAnotherPartitionsEpochAreFindings) {
  EXPECT_EQ(found({live("/k", 1, 2), live("/a/k", 1, 1), live("/l", 1, 1), live("/a/k", 2, 1)}),
            "a partition went back");
}

TEST(Observation, ASnapshotComesByKey) {
  EXPECT_EQ(found({synced("/k", 1, 7), synced("/l", 1, 3), live("/m", 1, 12)}), "in order");
  EXPECT_EQ(found({synced("/k", 1, 7), live("/l", 1, 7)}), "a partition went back");
  EXPECT_EQ(found({synced("/k", 1, 7), synced("/k", 1, 6)}), "a key went back");
  EXPECT_EQ(found({synced("/k", 1, 7), synced("/k", 1, 7)}), "received twice");
}

TEST(Observation, AfterAnInterruptionUpdatesMayBeMissing) {
  Observation observation(partitions, true);
  EXPECT_EQ(found(observation, {live("/k", 1, 1)}), "in order");
  observation.interrupted();
  EXPECT_EQ(found(observation, {live("/k", 1, 5)}), "in order");
  EXPECT_EQ(found(observation, {live("/k", 1, 7)}), "a hole");
}

TEST(Observation, AWatchOfTheLatestHasHoles) {
  Observation observation(partitions, false);
  EXPECT_EQ(found(observation, {live("/k", 1, 9), live("/l", 1, 4)}), "in order");
  EXPECT_EQ(found(observation, {live("/k", 1, 8)}), "a key went back");
}

TEST(Observation, HoldsTheState) {
  Observation observation(partitions, true);
  EXPECT_EQ(found(observation, {live("/k", 1, 1), live("/l", 1, 2), gone(live("/l", 1, 3))}),
            "in order");
  EXPECT_EQ(observation.map(), (Observation::Map{{"/k", {keyspace::Revision(1, 1), "v"}}}));
  client::Change again = synced("/l", 1, 2);
  EXPECT_EQ(found(observation, {again}), "a key went back") << "a deleted one too";
}

}  // namespace
}  // namespace canopy::faults
