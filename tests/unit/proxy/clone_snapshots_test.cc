#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy/clone_world.h"

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class CloneSnapshotsTest : public testing::Test {
 protected:
  // Each message as "key value", and the end as "KTHXBAI stamp".
  static std::vector<std::string> shown(const std::vector<Message>& messages) {
    std::vector<std::string> lines;
    for (const Message& message : messages) {
      const bool end = message.front() == wire::clone::snapshot_end;
      lines.push_back(message.front() + " " +
                      (end ? std::to_string(GuideClient::sequence_of(message)) : message.back()));
    }
    return lines;
  }
  void fill(int entries, std::size_t bytes = 1) {
    for (int i = 0; i < entries; ++i) {
      world.put("/" + std::to_string(i), std::string(bytes, 'v'));
      world.flush();
    }
  }
  double waiting() {
    return world.metrics.snapshots_waiting.Add({{"dialect", "kvsimple"}}).Value();
  }
  double counted(const char* result) {
    return world.metrics.snapshot_requests.Add({{"dialect", "kvsimple"}, {"result", result}})
        .Value();
  }

  CloneWorld world{{"", "/b/"}};
};

TEST_F(CloneSnapshotsTest, IsAnExactCutOfAllPartitionsAtOnce) {
  world.sync();
  for (const char* key : {"/a/1", "/b/1", "/b/2", "/c/1"}) world.put(key, "v");
  world.put("/b/3", "gone");
  world.put("/b/3", "");
  auto wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?", "/b/"});
  world.frontend().serve(world.backend.time);
  world.put("/b/1", "later");
  EXPECT_THAT(shown(wire->read()), ElementsAre("/b/1 v", "/b/2 v", "KTHXBAI 6"));
  wire->say({"ICANHAZ?"});
  world.settle();
  EXPECT_THAT(shown(wire->read()),
              ElementsAre("/a/1 v", "/c/1 v", "/b/1 later", "/b/2 v", "KTHXBAI 7"));
  EXPECT_EQ(counted("sent"), 2);
}

TEST_F(CloneSnapshotsTest, WaitsForTheMirrorsAndIsAnsweredInOrder) {
  auto wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?", "/b/"});
  wire->say({"ICANHAZ?", "/a/"});
  auto other = world.connect(Role::snapshot);
  other->say({"ICANHAZ?", "/b/"});
  const std::size_t asked = world.backend.asked_ready;
  world.settle();
  EXPECT_EQ(world.backend.asked_ready - asked, 1u) << "once for each prefix";
  EXPECT_THAT(wire->read(), IsEmpty());
  EXPECT_EQ(waiting(), 3);
  world.sync();
  world.put("/a/1", "v");
  world.put("/b/1", "v");
  world.settle();
  EXPECT_THAT(shown(wire->read()), ElementsAre("/b/1 v", "KTHXBAI 2", "/a/1 v", "KTHXBAI 2"));
  EXPECT_THAT(shown(other->read()), ElementsAre("/b/1 v", "KTHXBAI 2"));
  EXPECT_EQ(waiting(), 0);
}

TEST_F(CloneSnapshotsTest, RequestsEndWithTheirConnection) {
  auto wire = world.connect(Role::snapshot);
  for (int i = 0; i < 3; ++i) wire->say({"ICANHAZ?"});
  world.settle();
  wire->end();
  EXPECT_EQ(waiting(), 0);
  EXPECT_EQ(counted("client_gone"), 3);
  wire.reset();
  world.sync();
  fill(20'000, 100);
  wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?"});
  world.frontend().serve(world.backend.time);
  EXPECT_EQ(waiting(), 1);
  wire.reset();
  world.settle();
  EXPECT_EQ(counted("client_gone"), 4);
  EXPECT_EQ(counted("sent"), 0);
}

TEST_F(CloneSnapshotsTest, RequestsAreBounded) {
  auto wire = world.connect(Role::snapshot);
  for (std::size_t i = 0; i < 2 * CloneSnapshots::max_requests_per_client; ++i) {
    wire->say({"ICANHAZ?"});
  }
  wire->say({"ICANHAZ"});
  world.backend.readable = [](std::string_view) { return false; };
  wire->say({"ICANHAZ?", "/secret/"});
  world.settle();
  EXPECT_EQ(waiting(), CloneSnapshots::max_requests_per_client);
}

TEST_F(CloneSnapshotsTest, LeavesOutEmptyValuesWhichCountAsWorkOfATurn) {
  world.sync();
  for (int i = 0; i < 5000; ++i) {
    world.backend.mirrored.update_as("/" + std::to_string(i), "", false);
  }
  world.put("/z", "v");
  auto wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?"});
  int turns = 1;
  while (world.frontend().serve(world.backend.time)) ++turns;
  EXPECT_GE(turns, 3);
  EXPECT_THAT(shown(wire->read()), ElementsAre("/z v", "KTHXBAI 1"));
}

TEST_F(CloneSnapshotsTest, GoesOnWhenTheQueueHasDrained) {
  world.sync();
  fill(5000, 1000);
  auto wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?"});
  std::size_t entries = 0;
  int reads = 0;
  for (; counted("sent") == 0; ++reads) {
    world.settle();
    EXPECT_LT(wire->queued_bytes(), (std::size_t{1} << 20) + 2000);
    EXPECT_EQ(world.frontend().serve(world.backend.time), std::nullopt) << "no timer";
    entries += wire->read().size();
  }
  EXPECT_GE(reads, 4);
  EXPECT_EQ(entries + wire->read().size(), 5001u);
}

TEST_F(CloneSnapshotsTest, AClientThatReadsNothingHoldsNoPlaceAndIsGivenUp) {
  world.backend.config.max_snapshots = 2;
  world.sync();
  fill(3000, 1000);
  std::vector<std::unique_ptr<Wire>> asleep;
  for (int i = 0; i < 4; ++i) {
    asleep.push_back(world.connect(Role::snapshot));
    asleep.back()->say({"ICANHAZ?"});
  }
  world.settle();
  auto awake = world.connect(Role::snapshot);
  awake->say({"ICANHAZ?", "/11"});
  world.settle();
  EXPECT_EQ(awake->read().back().front(), wire::clone::snapshot_end);
  EXPECT_EQ(waiting(), 4);
  world.backend.time += CloneSnapshots::timeout;
  world.frontend().on_heartbeat(world.backend.time);
  EXPECT_EQ(counted("timeout"), 0);
  world.backend.time += 1s;
  asleep[0]->read();
  world.frontend().on_heartbeat(world.backend.time);
  EXPECT_EQ(counted("timeout"), 3);
  world.settle();
  EXPECT_EQ(waiting(), 1);
}

TEST_F(CloneSnapshotsTest, AtMostSoManyAreSentAtOnce) {
  world.backend.config.max_snapshots = 2;
  world.sync();
  fill(3000);
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 4; ++i) {
    wires.push_back(world.connect(Role::snapshot));
    wires.back()->say({"ICANHAZ?"});
  }
  world.frontend().serve(world.backend.time);
  const auto begun = [&] {
    return std::ranges::count_if(wires, [](const auto& wire) { return wire->queued_bytes() > 0; });
  };
  EXPECT_EQ(begun(), 2);
  EXPECT_EQ(wires[0]->queue().size(), CloneSnapshots::entries_per_turn / 2) << "they take turns";
  EXPECT_EQ(wires[1]->queue().size(), CloneSnapshots::entries_per_turn / 2);
  world.settle();
  for (auto& wire : wires) EXPECT_EQ(wire->read().size(), 3001u);
}

TEST_F(CloneSnapshotsTest, WaitsWhileTheQueuesOfAllAreTooLong) {
  world.sync();
  fill(10, 1000);
  world.backend.config.egress_bytes = 5000;
  world.backend.queued = 5000;
  auto wire = world.connect(Role::snapshot);
  wire->say({"ICANHAZ?"});
  world.settle();
  EXPECT_EQ(world.frontend().serve(world.backend.time), room_retry);
  EXPECT_THAT(wire->read(), IsEmpty());
  world.backend.queued = 0;
  for (int i = 0; i < 20 && counted("sent") == 0; ++i) {
    world.settle();
    wire->read();
  }
  EXPECT_EQ(counted("sent"), 1);
}

}  // namespace
}  // namespace canopy::proxy
