// The loss of an in-sync set: which replica reports it, and when an operator may accept it.
#include <gmock/gmock.h>

#include "tests/unit/core/cluster/replicas.h"

namespace canopy::cluster {
namespace {

using testing::HasSubstr;

class ReplicaLossTest : public testing::Test, protected Replicas {};

TEST_F(ReplicaLossTest, NothingIsLostWhileAnotherMayLead) {
  place({"s1", "s2"});
  start_all();
  write("s1", {"a"});
  run();
  for (const char* shard : {"s1", "s2"}) {
    call(shard, [&](Replica& at, auto& out) { at.accept_loss(now_, out); });
  }
  run();
  pass(1s);
  EXPECT_TRUE(leads("s1"));
  EXPECT_FALSE(leads("s2"));
  EXPECT_EQ(record_->epoch, 1u);
  EXPECT_EQ(in_sync().size(), 2u);
}

TEST_F(ReplicaLossTest, ReplicasThatAllCameBackEmptyAreSeenToWait) {
  place({"s1", "s2", "s3"});
  start_all();
  write("s1", {"a"});
  run();
  for (const char* shard : {"s1", "s2", "s3"}) stop(shard);
  for (const char* shard : {"s1", "s2", "s3"}) start(shard, true);
  pass(10s);
  for (const char* shard : {"s1", "s2", "s3"}) {
    EXPECT_FALSE(leads(shard));
    EXPECT_THAT(replica(shard).trouble(now_), HasSubstr("canopy elect")) << shard;
  }
  call("s2", [&](Replica& at, auto& out) { at.accept_loss(now_, out); });
  pass(1s);
  EXPECT_TRUE(leads("s2"));
  EXPECT_EQ(in_sync().size(), 3u);
  EXPECT_EQ(replica("s1").trouble(now_), "");
}

}  // namespace
}  // namespace canopy::cluster
