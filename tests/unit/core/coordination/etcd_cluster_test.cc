// An etcd of several members, some of which stop.
#include "core/base/text.h"
#include "tests/unit/core/coordination/etcd_world.h"

namespace canopy::coordination {
namespace {

using ::testing::Contains;
using ::testing::Not;

class EtcdClusterTest : public EtcdTest {
 protected:
  void SetUp() override {
    if (!has_program("etcd")) GTEST_SKIP() << "no etcd on the PATH";
    std::vector<std::string> names;
    for (int i = 0; i < 3; ++i) {
      members_.push_back(std::make_unique<EtcdServer>(folder_, "m" + std::to_string(i)));
      names.push_back(members_.back()->member());
      settings_.endpoints.push_back(members_.back()->endpoint());
    }
    for (const auto& each : members_) {
      std::string all = base::joined(names);
      std::erase(all, ' ');
      each->set_cluster(all);
      each->start();
    }
    settings_.lease = seconds(5);
  }

  std::vector<std::unique_ptr<EtcdServer>> members_;
};

TEST_F(EtcdClusterTest, AnyMemberMayBeGone) {
  const auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "0");
  watch(*b);
  ASSERT_TRUE(until([&] { return seen_.contains("shards/a") && b->connected(); }));
  int changes = 0;
  for (const auto& member : members_) {
    member->stop();
    for (int i = 0; i < 3; ++i) {
      const std::string value = std::to_string(++changes);
      a->announce("shards/a", value);
      EXPECT_TRUE(until([&] { return seen_["shards/a"] == value; })) << value;
      EXPECT_TRUE(until([&] { return a->deadline() > loop_.now(); }));
    }
    member->start();
    // It must have joined before the next one stops: its own answer then names a leader.
    settings_.endpoints = {member->endpoint()};
    ask("kv/range", R"({"key":"YQ=="})");
  }
  EXPECT_THAT(events_, Not(Contains("shards/a=(gone)")));
}

TEST_F(EtcdClusterTest, AMemberWithoutALeaderIsLeft) {
  const std::vector<std::string> all = settings_.endpoints;
  settings_.endpoints = {all[0]};
  const auto a = client("a");
  ASSERT_TRUE(until([&] { return a->connected(); }));
  members_[1]->stop();
  members_[2]->stop();
  EXPECT_TRUE(until([&] { return !a->connected(); }));
  a->announce("shards/a", "1");
  bool swapped = false;
  a->compare_and_set("k", "1", 0, [&](bool taken) { swapped = taken; });
  watch(*a);
  pass(seconds(2));
  EXPECT_FALSE(swapped);
  EXPECT_TRUE(seen_.empty());
  members_[1]->start();
  EXPECT_TRUE(until([&] { return a->connected() && swapped && seen_.size() == 2; }));
}

TEST_F(EtcdClusterTest, AMemberThatIsCutOffIsLeft) {
  const auto a = client("a");
  const auto b = client("b");
  a->announce("shards/a", "0");
  watch(*b);
  ASSERT_TRUE(until([&] { return seen_.contains("shards/a") && b->connected(); }));
  for (const auto& member : members_) {
    member->signal(SIGSTOP);
    const std::string value = member->endpoint();
    a->announce("shards/a", value);
    EXPECT_TRUE(until([&] { return seen_["shards/a"] == value; })) << value;
    member->signal(SIGCONT);
    settings_.endpoints = {member->endpoint()};
    ask("kv/range", R"({"key":"YQ=="})");
  }
}

}  // namespace
}  // namespace canopy::coordination
