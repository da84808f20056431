// The local coordinator and its server over real sockets, on one loop.
#include "tests/unit/core/coordination/local_world.h"

namespace canopy::coordination {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST_F(LocalTest, AnnouncesAreWatched) {
  const auto a = client("a");
  const auto b = client("b");
  EXPECT_FALSE(a->connected());
  a->announce("shards/a", "1");
  a->announce("other", "x");
  watch(*b, "shards/");
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
  EXPECT_TRUE(a->connected());
  a->announce("shards/a", "2");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "2"; }));
  a->resign();
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
  EXPECT_THAT(events_, ElementsAre("shards/a=1", "shards/a=2", "shards/a=(gone)"));
}

TEST_F(LocalTest, ASecondWatchOfAKeyTellsEachWatcherOnce) {
  const auto a = client("a");
  watch(*a);
  a->announce("k", "1");
  EXPECT_TRUE(until([&] { return events_.size() == 1; }));
  watch(*a, "k");
  EXPECT_TRUE(until([&] { return events_.size() == 2; }));
  pass(milliseconds(50));
  EXPECT_THAT(events_, ElementsAre("k=1", "k=1"));
}

TEST_F(LocalTest, ANewerProcessSupersedesAndTheOlderIsTold) {
  const auto old_process = client("a");
  old_process->announce("shards/a", "old");
  ASSERT_TRUE(until([&] { return old_process->connected(); }));
  auto new_process = client("a");
  const auto other = client("b");
  watch(*other);
  new_process->announce("shards/a", "new");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "new"; }));

  pass(seconds(2));
  EXPECT_EQ(seen_["shards/a"], "new") << "the older one does not come back";
  EXPECT_FALSE(old_process->connected());
  EXPECT_EQ(old_process->refusal(), "superseded by a newer process of this name: a");
  new_process.reset();
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "old"; })) << "until the newer one is gone";
  EXPECT_EQ(old_process->refusal(), "");
}

TEST_F(LocalTest, CompareAndSetAnswers) {
  const auto a = client("a");
  std::map<std::string, bool> answers;
  std::uint64_t version = 0;
  const auto swap = [&](const std::string& value, std::uint64_t expected) {
    a->compare_and_set("k", value, expected, [&answers, value](bool swapped) {
      EXPECT_TRUE(answers.emplace(value, swapped).second) << "called once";
    });
  };
  a->watch("k", [&](const Event& event) { version = event.version; });
  swap("1", 0);
  swap("2", 0);
  EXPECT_TRUE(until([&] { return answers.size() == 2 && version != 0; }));
  swap("3", version);
  EXPECT_TRUE(until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, ElementsAre(Pair("1", true), Pair("2", false), Pair("3", true)));
}

TEST_F(LocalTest, EverythingIsSaidAgainToARestartedBroker) {
  const auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b);
  ASSERT_TRUE(until([&] { return !seen_.empty(); }));

  server_.reset();
  EXPECT_TRUE(until([&] { return !a->connected() && !b->connected(); }));
  b->announce("proxies/b", "said while it was away");
  start_server();
  EXPECT_TRUE(until([&] { return a->connected() && b->connected() && seen_.size() == 2; }));
  pass(2 * lease_);
  EXPECT_THAT(seen_,
              ElementsAre(Pair("proxies/b", "said while it was away"), Pair("shards/a", "1")));
  EXPECT_THAT(events_, ::testing::Not(::testing::Contains("shards/a=(gone)")));
}

TEST_F(LocalTest, WhoDoesNotComeBackAfterARestartIsGoneAfterALease) {
  auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b);
  ASSERT_TRUE(until([&] { return !seen_.empty(); }));
  server_.reset();
  a.reset();
  pass(milliseconds(50));
  start_server();
  ASSERT_TRUE(until([&] { return server_->directory().session_count() == 1; }));
  EXPECT_EQ(seen_.size(), 1U);
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
  EXPECT_THAT(events_, ElementsAre("shards/a=1", "shards/a=(gone)"));
}

TEST_F(LocalTest, ASwapThatWasNotAnsweredIsRepeated) {
  const auto a = client("a");
  ASSERT_TRUE(until([&] { return a->connected(); }));
  server_.reset();
  std::vector<bool> answers;
  a->compare_and_set("k", "1", 0, [&](bool swapped) { answers.push_back(swapped); });
  pass(milliseconds(50));
  start_server();
  EXPECT_TRUE(until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre(true));
}

TEST_F(LocalTest, WhatWasSetComesBackWithARestartedBroker) {
  const auto a = client("a");
  const auto b = client("b");
  watch(*b);
  int swapped = 0;
  for (int i = 0; i < 1000; ++i) {
    a->compare_and_set("k/" + std::to_string(i), "1", 0, [&](bool is) { swapped += is ? 1 : 0; });
  }
  EXPECT_TRUE(until([&] { return swapped == 1000 && seen_.size() == 1000; }));
  EXPECT_LT(keeps_, 100) << "one write a turn";
  const auto before = server_->directory().entries();
  server_.reset();
  start_server();
  for (const auto& [key, entry] : server_->directory().entries()) {
    EXPECT_EQ(entry.version, before.at(key).version);
  }
  const std::uint64_t version = before.at("k/7").version;
  a->compare_and_set("k/7", "2", version, [&](bool is) { swapped += is ? 1 : 0; });
  EXPECT_TRUE(until([&] { return swapped == 1001 && seen_["k/7"] == "2"; }));
  EXPECT_EQ(events_.size(), 1001U) << "what has not changed is not told again";
}

TEST_F(LocalTest, ASwapIsAnsweredOnceItIsKeptAndNotBefore) {
  const auto a = client("a");
  watch(*a);
  disk_is_full_ = true;
  std::vector<bool> answers;
  a->compare_and_set("k", "1", 0, [&](bool swapped) { answers.push_back(swapped); });
  EXPECT_TRUE(until([&] { return keeps_ > 0; }));
  pass(milliseconds(50));
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_EQ(server_->directory().failure(), "no space");
  disk_is_full_ = false;
  EXPECT_TRUE(until([&] { return !answers.empty(); })) << "asked again by itself";
  EXPECT_THAT(answers, ElementsAre(true));
  EXPECT_EQ(server_->directory().failure(), "");
}

TEST_F(LocalTest, AProcessThatClosesItsConnectionIsGoneSoon) {
  lease_ = seconds(60);
  server_.reset();
  start_server();
  auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b);
  ASSERT_TRUE(until([&] { return !seen_.empty(); }));
  EXPECT_GT(*a->deadline(), loop_.now() + seconds(50));
  a.reset();
  EXPECT_TRUE(until([&] { return seen_.empty(); }, seconds(20))) << "not after a lease";
  EXPECT_THAT(ended_, ElementsAre("a expired"));
}

TEST_F(LocalTest, AProcessKnownToHaveEndedIsGoneAtOnce) {
  lease_ = seconds(60);
  server_.reset();
  start_server();
  auto a = client("a");
  const auto other = client("b");
  ASSERT_TRUE(until([&] { return server_->directory().session_count() == 2; }));
  server_->process_ended("a");
  server_->process_ended("b");
  EXPECT_THAT(ended_, IsEmpty()) << "their connections stand: those of other processes";
  a.reset();
  EXPECT_TRUE(until([&] { return !ended_.empty(); }));
  EXPECT_THAT(ended_, ElementsAre("a dropped"));
}

TEST_F(LocalTest, TheDeadlineIsALeaseAfterTheLastAnsweredRenewal) {
  const auto a = client("a");
  EXPECT_EQ(a->deadline(), std::nullopt);
  ASSERT_TRUE(until([&] { return a->deadline().has_value(); }));
  EXPECT_LE(*a->deadline(), loop_.now() + lease_);
  const auto first = *a->deadline();
  EXPECT_TRUE(until([&] { return *a->deadline() > first + lease_; })) << "renewed";
  server_.reset();
  pass(milliseconds(50));
  const auto last = *a->deadline();
  EXPECT_TRUE(until([&] { return loop_.now() > last; }));
  EXPECT_EQ(a->deadline(), last) << "no broker, no renewal";
  start_server();
  EXPECT_TRUE(until([&] { return *a->deadline() > loop_.now(); }));
  a->resign();
  EXPECT_EQ(a->deadline(), std::nullopt);
}

TEST_F(LocalTest, CallbacksMayCallTheCoordinator) {
  const auto a = client("a");
  a->watch("start", [&](const Event&) {
    watch(*a);
    a->compare_and_set("set", "1", 0, [&](bool) {
      a->compare_and_set("set", "2", 0, [&](bool swapped) {
        EXPECT_FALSE(swapped);
        a->announce("refused", "yes");
      });
    });
  });
  a->announce("start", "1");
  EXPECT_TRUE(until([&] { return seen_.contains("refused"); }));
  EXPECT_EQ(seen_["set"], "1");
}

TEST_F(LocalTest, AGenerationIsKeptOverRestartsOfTheBroker) {
  const auto a = client("a");
  std::vector<std::uint32_t> of_a, of_b;
  a->on_generation([&](std::uint32_t generation) { of_a.push_back(generation); });
  EXPECT_TRUE(until([&] { return !of_a.empty(); }));
  for (int i = 0; i < 2; ++i) {
    server_.reset();
    start_server();
    EXPECT_TRUE(until([&] { return server_->directory().session_count() == 1; }));
  }
  const auto b = client("b");
  b->on_generation([&](std::uint32_t generation) { of_b.push_back(generation); });
  EXPECT_TRUE(until([&] { return !of_b.empty(); }));
  EXPECT_EQ(of_a.size(), 1U) << "a process keeps its generation";
  EXPECT_GT(of_b.front(), of_a.front());
}

TEST_F(LocalTest, ABrokerThatLostItsRecordGrantsAnewAboveWhatAProcessReports) {
  const auto a = client("a");
  a->report_known([] { return 700U; });
  std::vector<std::uint32_t> of_a, of_b;
  a->on_generation([&](std::uint32_t generation) { of_a.push_back(generation); });
  EXPECT_TRUE(until([&] { return !of_a.empty(); }));
  EXPECT_GT(of_a.front(), 700U);
  server_.reset();
  kept_ = {.identity = "r2"};
  start_server();
  const auto b = client("b");
  b->on_generation([&](std::uint32_t generation) { of_b.push_back(generation); });
  EXPECT_TRUE(until([&] {
    return server_->directory().session_count() == 2 && !of_b.empty() && of_b.back() > of_a.front();
  }));
  EXPECT_EQ(of_a.size(), 1U);
}

TEST_F(LocalTest, ANameHeldExclusivelyIsTakenOverWhenTheLeaseOfItsHolderHasEnded) {
  const auto holder = client("s1", "one");
  EXPECT_TRUE(until([&] { return holder->connected(); }));
  const auto newcomer = client("s1", "two");
  EXPECT_TRUE(until([&] { return !newcomer->refusal().empty(); }));
  EXPECT_EQ(newcomer->refusal(), "another process of this name is running: s1");
  EXPECT_FALSE(newcomer->connected());
  pass(2 * lease_);
  EXPECT_FALSE(newcomer->connected());
  EXPECT_TRUE(holder->connected());
  EXPECT_GT(rejected_["name_taken"], 0);

  // A restart of the holder.
  const auto successor = client("s1", "one");
  EXPECT_TRUE(until([&] { return successor->connected(); }));
  EXPECT_FALSE(newcomer->connected());
}

}  // namespace
}  // namespace canopy::coordination
