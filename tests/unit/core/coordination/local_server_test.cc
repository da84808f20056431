// The local server with peers that do not behave like coordinators.
#include <unistd.h>

#include <algorithm>

#include "tests/unit/core/coordination/local_world.h"

namespace canopy::coordination {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(LocalTest, ASilentProcessIsGoneAfterItsLease) {
  const auto b = client("b");
  watch(*b);
  Peer peer(context_, endpoint_);
  peer.send(Register{"a"});
  peer.send(Announce{"shards/a", "1"});
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
  EXPECT_THAT(ended_, ElementsAre("a expired"));
  peer.send(Ping{});
  cluster::Failed failed;
  EXPECT_TRUE(until([&] { return peer.heard(&failed); }));
  EXPECT_EQ(failed.fault, cluster::Fault::unknown_session);
}

TEST_F(LocalTest, ALostMessageIsNoticed) {
  Peer peer(context_, endpoint_);
  peer.send(Register{"a"}, 1);
  EXPECT_TRUE(until([&] { return peer.heard<Welcome>(); }));
  peer.send(Ping{}, 2);
  EXPECT_TRUE(until([&] { return peer.heard<Pong>(); }));
  peer.send(Ping{}, 4);
  cluster::Failed failed;
  EXPECT_TRUE(until([&] { return peer.heard(&failed); }));
  EXPECT_EQ(failed.fault, cluster::Fault::unknown_session);
  peer.send(Register{"a"}, 1);
  peer.send(Ping{}, 2);
  EXPECT_TRUE(until([&] { return peer.heard<Pong>(); }));
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(LocalTest, NoiseIsCountedAnsweredAndHarmsNobody) {
  const auto b = client("b");
  watch(*b);
  Peer peer(context_, endpoint_);
  peer.send(Register{"noisy"});
  peer.raw("");
  peer.raw("\x07");
  peer.raw(std::string(5000, '\xff'));
  zmtp::send(peer.socket(), {"one", "two"});
  cluster::Failed failed;
  EXPECT_TRUE(until([&] { return peer.heard(&failed); }));
  EXPECT_EQ(failed.fault, cluster::Fault::malformed);
  EXPECT_TRUE(until([&] { return rejected_["malformed"] == 3 && rejected_["frame_count"] == 1; }));
  b->announce("k", "1");
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
}

TEST_F(LocalTest, APeerThatDoesNotReadLosesItsConnectionAlone) {
  server_.reset();
  endpoint_ = "ipc://@canopy-local-test-" + std::to_string(getpid());  // small kernel buffers
  queue_bytes_ = 20'000;
  lease_ = seconds(60);
  start_server();
  const auto a = client("a");
  watch(*a);
  Peer unread(context_, endpoint_, {.receive_hwm = 1});
  unread.send(Register{"unread"});
  unread.send(Watch{""});
  const std::string load(2000, 'v');
  int written = 0;
  const auto announce = loop_.every(milliseconds(1), [&] {
    if (written > 0 && seen_["k"] != std::to_string(written) + load) return;
    a->announce("k", std::to_string(++written) + load);
  });
  EXPECT_TRUE(until([&] { return !closed_.empty(); }, seconds(60)));
  loop_.cancel(announce);
  EXPECT_TRUE(until([&] { return seen_["k"] == std::to_string(written) + load; }))
      << "the others are served";
  EXPECT_THAT(closed_, Contains("queue_full"));
  EXPECT_THAT(ended_, IsEmpty()) << "its process may live: it keeps its lease";
}

TEST_F(LocalTest, ASessionOutlivesItsConnection) {
  auto before = std::make_unique<Peer>(context_, endpoint_, zmtp::DealerOptions{.routing_id = "a"});
  before->send(Register{"a"}, 1);
  before->send(Announce{"k", "1"}, 2);
  ASSERT_TRUE(until([&] { return server_->directory().entries().size() == 1; }));
  before.reset();
  pass(milliseconds(50));
  Peer after(context_, endpoint_, {.routing_id = "a"});
  after.send(Ping{}, 3);
  EXPECT_TRUE(until([&] { return after.heard<Pong>(); }));
  EXPECT_THAT(ended_, IsEmpty());
  EXPECT_THAT(closed_, IsEmpty());
}

TEST_F(LocalTest, OfTwoConnectionsOfASessionTheNewerCounts) {
  Peer older(context_, endpoint_, {.routing_id = "a"});
  older.send(Register{"a"}, 1);
  ASSERT_TRUE(until([&] { return older.heard<Welcome>(); }));
  Peer newer(context_, endpoint_, {.reconnect_ms = 60'000, .routing_id = "a"});
  newer.send(Ping{}, 2);
  EXPECT_TRUE(until([&] { return newer.heard<Pong>(); }));
  EXPECT_THAT(closed_, Contains("replaced"));
  EXPECT_THAT(ended_, IsEmpty());
}

}  // namespace
}  // namespace canopy::coordination
