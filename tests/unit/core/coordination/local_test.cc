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

TEST_F(LocalTest, LeadersFollowEachOther) {
  const auto a = client("a");
  const auto b = client("b");
  Leadership of_a, of_b;
  a->campaign("/p/", 5, record(of_a));
  EXPECT_TRUE(until([&] { return !of_a.empty(); }));
  b->campaign("/p/", 1, record(of_b));
  pass(milliseconds(100));
  EXPECT_THAT(of_b, IsEmpty());
  a->resign();
  EXPECT_TRUE(until([&] { return !of_b.empty(); }));
  EXPECT_EQ(of_a.size(), 1U) << "who resigned is not told that it lost";
  EXPECT_GE(of_a.front(), 5U);
  EXPECT_GT(of_b.front(), of_a.front());
}

TEST_F(LocalTest, ANewerProcessSupersedesAndTheOlderIsTold) {
  const auto old_process = client("a");
  Leadership of_old, of_new;
  old_process->announce("shards/a", "old");
  old_process->campaign("/p/", 1, record(of_old));
  ASSERT_TRUE(until([&] { return !of_old.empty(); }));
  auto new_process = client("a");
  watch(*new_process);
  new_process->announce("shards/a", "new");
  new_process->campaign("/p/", 1, record(of_new));
  EXPECT_TRUE(until([&] { return of_old.size() == 2 && !of_new.empty(); }));
  EXPECT_EQ(of_old.back(), std::nullopt);
  EXPECT_GT(of_new.front(), of_old.front());

  pass(seconds(2));
  EXPECT_EQ(seen_["shards/a"], "new") << "the older one does not come back";
  EXPECT_EQ(of_old.size(), 2U);
  EXPECT_FALSE(old_process->connected());
  EXPECT_EQ(old_process->refusal(), "superseded by a newer process of this name: a");
  new_process.reset();
  EXPECT_TRUE(until([&] { return of_old.size() == 3; })) << "until the newer one is gone";
  EXPECT_GT(of_old.back(), of_new.front());
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
  Leadership of_a, of_b;
  a->announce("shards/a", "1");
  a->campaign("/p/", 7, record(of_a));
  watch(*b);
  ASSERT_TRUE(until([&] { return !seen_.empty() && !of_a.empty(); }));
  const auto epoch = of_a.front();
  b->campaign("/p/", 3, record(of_b));
  pass(milliseconds(100));

  server_.reset();
  EXPECT_TRUE(until([&] { return !a->connected() && !b->connected(); }));
  EXPECT_THAT(of_a, ElementsAre(epoch)) << "a leader stays one while nobody can elect another";
  b->announce("proxies/b", "said while it was away");
  start_server();
  EXPECT_TRUE(until([&] {
    const auto leader = server_->directory().leader("/p/");
    return a->connected() && b->connected() && leader && leader->name == "a";
  }));
  EXPECT_TRUE(until([&] { return of_a.back() == server_->directory().leader("/p/")->epoch; }));
  if (of_a.size() > 1) {  // B was there before it
    EXPECT_GT(of_a.back(), epoch);
  }
  EXPECT_TRUE(until([&] { return seen_.size() == 2; }));
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
  Leadership second;
  a->watch("start", [&](const Event&) {
    watch(*a);
    a->campaign("/p/", 1, [&](std::optional<std::uint32_t>) {
      a->campaign("/p/", 1, record(second));
      a->announce("led", "yes");
    });
  });
  a->announce("start", "1");
  EXPECT_TRUE(until([&] { return seen_.contains("led") && !second.empty(); }));
  EXPECT_THAT(second, ElementsAre(server_->directory().leader("/p/")->epoch))
      << "a repeated campaign answers with the same epoch";
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
  Leadership led;
  b->on_generation([&](std::uint32_t generation) { of_b.push_back(generation); });
  b->campaign("/p/", 0, record(led));
  EXPECT_TRUE(until([&] {
    return server_->directory().session_count() == 2 && !of_b.empty() &&
           of_b.back() > of_a.front() && led.back().value_or(0) > of_a.front();
  }));
  EXPECT_EQ(of_a.size(), 1U);
}

TEST_F(LocalTest, ANameHeldExclusivelyIsTakenOverWhenTheLeaseOfItsHolderHasEnded) {
  auto holder = client("s1", "one");
  Leadership of_holder, of_newcomer, of_successor;
  holder->campaign("/p/", 0, record(of_holder));
  EXPECT_TRUE(until([&] { return !of_holder.empty(); }));
  const auto newcomer = client("s1", "two");
  newcomer->campaign("/p/", 0, record(of_newcomer));
  EXPECT_TRUE(until([&] { return !newcomer->refusal().empty(); }));
  EXPECT_EQ(newcomer->refusal(), "another process of this name is running: s1");
  EXPECT_FALSE(newcomer->connected());
  pass(2 * lease_);
  EXPECT_THAT(of_newcomer, IsEmpty());
  EXPECT_EQ(of_holder.size(), 1U);
  EXPECT_GT(rejected_["name_taken"], 0);

  // A restart of the holder.
  const auto successor = client("s1", "one");
  successor->campaign("/p/", 0, record(of_successor));
  EXPECT_TRUE(until([&] { return !of_successor.empty(); }));
  EXPECT_GT(of_successor.front(), of_holder.front());
  EXPECT_THAT(of_newcomer, IsEmpty());
}

}  // namespace
}  // namespace canopy::coordination
