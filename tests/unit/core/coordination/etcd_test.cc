// The coordinator over a real etcd of one member.
#include <set>

#include "core/coordination/etcd_messages.h"
#include "tests/unit/core/coordination/etcd_world.h"

namespace canopy::coordination {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::Pair;

TEST_F(EtcdTest, AnnouncesAreWatched) {
  const auto a = client("a");
  const auto b = client("b");
  EXPECT_FALSE(a->connected());
  EXPECT_EQ(a->deadline(), std::nullopt);
  a->announce("shards/a", "1");
  a->announce("other", "x");
  watch(*b, "shards/");
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
  EXPECT_TRUE(a->connected());
  EXPECT_TRUE(until([&] { return a->deadline() > loop_.now(); }));
  EXPECT_LE(a->deadline(), loop_.now() + settings_.lease);
  a->announce("shards/a", "2");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "2"; }));
  a->resign();
  EXPECT_FALSE(a->connected());
  EXPECT_EQ(a->deadline(), std::nullopt);
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
  EXPECT_THAT(events_, ElementsAre("shards/a=1", "shards/a=2", "shards/a=(gone)"));
}

TEST_F(EtcdTest, ASecondWatchOfAKeyTellsEachWatcherOnce) {
  const auto a = client("a");
  watch(*a);
  a->announce("k", "1");
  EXPECT_TRUE(until([&] { return events_.size() == 1; }));
  watch(*a, "k");
  EXPECT_TRUE(until([&] { return events_.size() == 2; }));
  a->announce("k", "2");
  EXPECT_TRUE(until([&] { return events_.size() == 4; }));
  EXPECT_THAT(events_, ElementsAre("k=1", "k=1", "k=2", "k=2"));
}

TEST_F(EtcdTest, BytesOfEveryKindAreKept) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const auto a = client("a");
  watch(*a);
  a->announce("k", all);
  EXPECT_TRUE(until([&] { return !seen_.empty(); }));
  EXPECT_EQ(seen_["k"], all);
}

TEST_F(EtcdTest, EveryChangeIsWatchedInOrder) {
  const auto a = client("a");
  const auto b = client("b");
  watch(*b);
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    bool done = false;
    a->compare_and_set("k", std::to_string(i), versions_["k"], [&](bool swapped) {
      EXPECT_TRUE(swapped);
      done = true;
    });
    expected.push_back("k=" + std::to_string(i));
    ASSERT_TRUE(until([&] { return done && events_.size() == expected.size(); }));
  }
  EXPECT_EQ(events_, expected);
}

TEST_F(EtcdTest, CompareAndSetAnswers) {
  const auto a = client("a");
  std::vector<bool> answers;
  const auto record_answer = [&](bool swapped) { answers.push_back(swapped); };
  watch(*a);
  a->compare_and_set("k", "1", 0, record_answer);
  a->compare_and_set("k", "2", 0, record_answer);
  EXPECT_TRUE(until([&] { return answers.size() == 2 && !seen_.empty(); }));
  a->compare_and_set("k", "3", versions_["k"], record_answer);
  EXPECT_TRUE(until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, ElementsAre(true, false, true));
}

TEST_F(EtcdTest, OfTwoThatCompareAndSetOneWins) {
  struct Counter {
    std::unique_ptr<Coordinator> coordinator;
    std::string name{};
    std::uint64_t version = 0;
    int value = 0;
    bool trying = false;
    int won = 0;
  };
  std::vector<Counter> counters(2);
  for (int i = 0; i < 2; ++i) {
    Counter& counter = counters[static_cast<std::size_t>(i)];
    counter.name = "c" + std::to_string(i);
    counter.coordinator = client(counter.name);
    counter.coordinator->watch("sum", [&counter](const Event& event) {
      counter.version = event.version;
      counter.value = std::stoi(event.value.value_or("0"));
    });
  }
  const auto both_reach = [&] {
    bool done = true;
    for (Counter& counter : counters) {
      if (counter.won >= 50) continue;
      done = false;
      if (std::exchange(counter.trying, true)) continue;
      counter.coordinator->compare_and_set(
          "sum", std::to_string(counter.value + 1) + " of " + counter.name, counter.version,
          [&counter](bool swapped) {
            counter.trying = false;
            counter.won += swapped ? 1 : 0;
          });
    }
    return done;
  };
  EXPECT_TRUE(until(both_reach));
  EXPECT_TRUE(until([&] { return counters[0].value == 100 && counters[1].value == 100; }));
}

TEST_F(EtcdTest, ManyCompareAndSetsAreBounded) {
  const auto a = client("a");
  int yes = 0, no = 0;
  for (int i = 0; i < 300; ++i) {
    a->compare_and_set("k" + std::to_string(i), "v", 0,
                       [&](bool swapped) { (swapped ? yes : no) += 1; });
  }
  a->compare_and_set("large", std::string(std::size_t{2} << 20, 'x'), 0, [&](bool swapped) {
    EXPECT_FALSE(swapped);
    ++no;
  });
  EXPECT_EQ(yes + no, 0) << "never called back from within the call";
  EXPECT_TRUE(until([&] { return yes + no == 301; }));
  EXPECT_EQ(yes, 256);
}

TEST_F(EtcdTest, LargeDirectoriesAreListedInPages) {
  const auto a = client("a");
  const std::string large(std::size_t{900} << 10, 'x');
  int done = 0;
  for (int i = 0; i < 12; ++i) {
    a->compare_and_set("large/" + std::to_string(i), large, 0, [&](bool swapped) {
      EXPECT_TRUE(swapped);
      ++done;
    });
  }
  ASSERT_TRUE(until([&] { return done == 12; }));
  watch(*a, "large/");
  EXPECT_TRUE(until([&] { return seen_.size() == 12; }));
  EXPECT_EQ(seen_["large/11"], large);
  a->compare_and_set("large/watched", large, 0, [](bool swapped) { EXPECT_TRUE(swapped); });
  EXPECT_TRUE(until([&] { return seen_["large/watched"] == large; }));
}

TEST_F(EtcdTest, GenerationsAreUnique) {
  std::set<std::uint32_t> granted;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto a = client("a");
    const auto b = client("b");
    std::size_t count = 0;
    for (const auto& each : {a.get(), b.get()}) {
      each->on_generation([&](std::uint32_t generation) {
        ++count;
        EXPECT_TRUE(granted.empty() || generation > *granted.begin());
        granted.insert(generation);
      });
    }
    ASSERT_TRUE(until([&] { return count == 2; }));
  }
  EXPECT_EQ(granted.size(), 200U);
  EXPECT_EQ(*granted.rbegin(), 200U);
}

TEST_F(EtcdTest, AGenerationIsAboveWhatIsReportedAndKeptOverRestarts) {
  const auto a = client("a");
  a->report_known([] { return 700U; });
  std::vector<std::uint32_t> of_a, of_b;
  a->on_generation([&](std::uint32_t generation) { of_a.push_back(generation); });
  ASSERT_TRUE(until([&] { return a->connected(); }));
  EXPECT_THAT(of_a, ElementsAre(701U));
  server_->restart();
  const auto b = client("b");
  b->on_generation([&](std::uint32_t generation) { of_b.push_back(generation); });
  EXPECT_TRUE(until([&] { return !of_b.empty(); }));
  EXPECT_GT(of_b.front(), of_a.front());
  EXPECT_EQ(of_a.size(), 1U);
}

TEST_F(EtcdTest, AnEtcdThatLostItsDataGrantsAHigherGeneration) {
  const auto a = client("a");
  std::vector<std::uint32_t> of_a;
  a->on_generation([&](std::uint32_t generation) { of_a.push_back(generation); });
  a->announce("shards/a", "1");
  watch(*a);
  ASSERT_TRUE(until([&] { return !seen_.empty(); }));
  server_->stop();
  server_->lose_data();
  server_->start();
  EXPECT_TRUE(until([&] { return of_a.size() == 2; }));
  EXPECT_GT(of_a.back(), of_a.front());
  EXPECT_TRUE(until([&] { return a->connected() && seen_.contains("shards/a"); }));
}

TEST_F(EtcdTest, AGenerationThatIsNoneRefuses) {
  const auto a = client("a");
  ASSERT_TRUE(until([&] { return a->connected(); }));
  a->resign();
  ask("kv/put", R"({"key":"Y2Fub3B5L3Rlc3QvZ2VuZXJhdGlvbnM=","value":"eA=="})");
  const auto b = client("b");
  EXPECT_TRUE(until([&] { return !b->refusal().empty(); }));
  EXPECT_EQ(b->refusal(), "canopy/test/generations: unexpected answer: expected an object");
}

TEST_F(EtcdTest, ANameIsRefusedUntilTheLeaseOfItsHolderHasEnded) {
  auto holder = client("s1", "one");
  holder->announce("shards/s1", "of one");
  ASSERT_TRUE(until([&] { return holder->connected(); }));
  const auto newcomer = client("s1", "two");
  newcomer->announce("shards/s1", "of two");
  watch(*newcomer);
  EXPECT_TRUE(until([&] { return !newcomer->refusal().empty(); }));
  EXPECT_EQ(newcomer->refusal(), "another process of this name is running: s1");
  EXPECT_FALSE(newcomer->connected());
  EXPECT_EQ(newcomer->deadline(), std::nullopt);
  pass(seconds(3));
  EXPECT_TRUE(holder->connected());
  EXPECT_EQ(seen_["shards/s1"], "of one");
  holder.reset();
  EXPECT_TRUE(until([&] { return newcomer->connected(); }));
  EXPECT_EQ(newcomer->refusal(), "");
  EXPECT_TRUE(until([&] { return seen_["shards/s1"] == "of two"; }));
  EXPECT_THAT(events_, ElementsAre("shards/s1=of one", "shards/s1=(gone)", "shards/s1=of two"));
}

TEST_F(EtcdTest, ARestartedProcessTakesItsNameOverAtOnce) {
  settings_.lease = std::chrono::minutes(10);
  auto before = client("s1", "one");
  before->announce("shards/s1", "before");
  before->announce("proxies/s1", "not announced again");
  const auto other = client("other");
  watch(*other);
  ASSERT_TRUE(until([&] { return seen_.size() == 2; }));
  before.reset();
  const auto after = client("s1", "one");
  after->announce("shards/s1", "after");
  EXPECT_TRUE(until([&] { return seen_["shards/s1"] == "after"; }));
  EXPECT_THAT(seen_, ElementsAre(Pair("shards/s1", "after")));
  EXPECT_THAT(events_, Contains("shards/s1=(gone)"));
}

TEST_F(EtcdTest, ANewerProcessSupersedesAnOlderOne) {
  const auto older = client("a");
  older->announce("shards/a", "old");
  ASSERT_TRUE(until([&] { return older->connected(); }));
  auto newer = client("a");
  watch(*newer);
  newer->announce("shards/a", "new");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "new" && !older->refusal().empty(); }));
  EXPECT_EQ(older->refusal(), "superseded by a newer process of this name: a");
  pass(seconds(2));
  EXPECT_EQ(seen_["shards/a"], "new") << "the older one does not come back";
  EXPECT_FALSE(older->connected());
  newer->resign();
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "old"; })) << "until the newer one is gone";
  EXPECT_EQ(older->refusal(), "");
}

TEST_F(EtcdTest, CallbacksMayCallTheCoordinator) {
  const auto a = client("a");
  a->watch("start", [&](const Event& event) {
    watch(*a);
    a->compare_and_set("set", "by it", 0, [&](bool) { a->announce("last", "yes"); });
    EXPECT_EQ(event.value, "1");
  });
  a->on_generation([&](std::uint32_t) { a->announce("start", "1"); });
  EXPECT_TRUE(until([&] { return seen_.contains("last"); }));
  EXPECT_THAT(seen_, Contains(Pair("set", "by it")));
}

TEST_F(EtcdTest, ARestartOfEtcdIsNotSeen) {
  const auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b);
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  server_->stop();
  EXPECT_TRUE(until([&] { return !a->connected() && !b->connected(); }));
  EXPECT_LE(a->deadline(), loop_.now());
  EXPECT_EQ(a->refusal(), "");
  b->announce("proxies/b", "said while it was away");
  std::vector<bool> answers;
  b->compare_and_set("set", "meanwhile", 0, [&](bool swapped) { answers.push_back(swapped); });
  pass(milliseconds(500));
  EXPECT_THAT(answers, ElementsAre());
  server_->start();
  EXPECT_TRUE(until([&] { return seen_.size() == 3 && answers.size() == 1; }));
  EXPECT_THAT(seen_, ElementsAre(Pair("proxies/b", "said while it was away"),
                                 Pair("set", "meanwhile"), Pair("shards/a", "1")));
  EXPECT_TRUE(
      until([&] { return a->connected() && b->connected() && a->deadline() > loop_.now(); }));
  EXPECT_THAT(answers, ElementsAre(true));
  EXPECT_THAT(events_, Not(Contains("shards/a=(gone)"))) << "etcd has kept the lease";
  a->announce("shards/a", "2");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "2"; }));
}

TEST_F(EtcdTest, ALeaseThatEndsWhileEtcdDoesNotAnswerIsReplaced) {
  const auto a = client("a", "one");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b, "shards/");
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  const std::uint64_t first = versions_["shards/a"];
  server_->signal(SIGSTOP);
  EXPECT_TRUE(until([&] { return a->deadline() < loop_.now() - seconds(3); }));
  EXPECT_FALSE(a->connected());
  EXPECT_EQ(seen_.size(), 1U);
  server_->signal(SIGCONT);
  EXPECT_TRUE(until([&] { return versions_["shards/a"] > first && seen_.size() == 1; }));
  EXPECT_TRUE(until([&] { return a->connected() && a->deadline() > loop_.now(); }));
}

TEST_F(EtcdTest, ALeaseThatIsGoneIsReplaced) {
  const auto a = client("a", "one");
  const auto b = client("b");
  a->announce("shards/a", "1");
  watch(*b, "shards/");
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  const auto name = etcd::parse_list(ask("kv/range", etcd::to_get("canopy/test/names/a")));
  ASSERT_TRUE(name && name->found.size() == 1);
  ask("lease/revoke", etcd::to_lease(name->found.front().lease));
  EXPECT_TRUE(until([&] { return events_.size() == 3; }));
  EXPECT_THAT(events_, ElementsAre("shards/a=1", "shards/a=(gone)", "shards/a=1"));
  EXPECT_TRUE(until([&] { return a->connected() && a->deadline() > loop_.now(); }));
}

TEST_F(EtcdTest, ResigningEndsWithoutAnAnswer) {
  const auto a = client("a", "one");
  a->announce("shards/a", "1");
  watch(*a);
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  server_->signal(SIGSTOP);
  a->resign();
  EXPECT_EQ(a->deadline(), std::nullopt);
  server_->signal(SIGCONT);
  EXPECT_TRUE(until([&] { return seen_.empty(); })) << "when the lease ends";
}

TEST_F(EtcdTest, IsThereBeforeEtcd) {
  server_->stop();
  const auto a = client("a");
  a->announce("shards/a", "1");
  watch(*a);
  pass(seconds(1));
  EXPECT_FALSE(a->connected());
  server_->start();
  EXPECT_TRUE(until([&] { return a->connected() && seen_.size() == 1; }));
}

}  // namespace
}  // namespace canopy::coordination
