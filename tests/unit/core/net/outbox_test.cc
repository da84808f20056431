#include "core/net/outbox.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace canopy::net {
namespace {

using namespace std::chrono_literals;

class OutboxTest : public testing::Test {
 protected:
  SendResult send(const std::string& peer, std::string_view frame) {
    if (gone == peer) return SendResult::no_route;
    if (room[peer] == 0) return SendResult::would_block;
    --room[peer];
    sent.push_back(peer + " " + std::string(frame));
    return SendResult::sent;
  }
  std::size_t flush() { return outbox.flush(now += Outbox<std::string>::most_pause); }

  base::TimePoint now{1h};
  std::map<std::string, int> room;
  std::string gone;
  std::vector<std::string> sent;
  Outbox<std::string> outbox{
      {.peer_bytes = 200, .total_bytes = 350},
      [this](const std::string& peer, std::string_view frame) { return send(peer, frame); }};
};

TEST_F(OutboxTest, KeepsWhatThereIsNoRoomForInOrder) {
  room["a"] = 1;
  for (const char* frame : {"1", "2", "3"}) EXPECT_EQ(outbox.post("a", frame), 0u);
  EXPECT_EQ(sent, (std::vector<std::string>{"a 1"}));
  room["a"] = 1;
  EXPECT_EQ(flush(), 0u);
  EXPECT_FALSE(outbox.empty());
  room["a"] = 9;
  EXPECT_EQ(outbox.post("a", "4"), 0u);
  EXPECT_EQ(sent.size(), 2u) << "it does not overtake";
  EXPECT_EQ(flush(), 0u);
  EXPECT_EQ(sent, (std::vector<std::string>{"a 1", "a 2", "a 3", "a 4"}));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST_F(OutboxTest, OnePeerHoldsNoOtherUp) {
  room["b"] = 2;
  outbox.post("a", "1");
  outbox.post("b", "2");
  EXPECT_EQ(sent, (std::vector<std::string>{"b 2"}));
}

TEST_F(OutboxTest, CountsTheAnswersOfThoseThatAreGone) {
  outbox.post("a", "1", 5);
  outbox.post("a", "2", 6);
  outbox.post("b", "1");
  gone = "a";
  EXPECT_EQ(flush(), 11u);
  EXPECT_EQ(outbox.post("a", "3", 7), 7u);
  outbox.drop("b");
  outbox.drop("unknown");
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST_F(OutboxTest, IsBoundedForOnePeerAndForAll) {
  const std::string frame(80, 'x');  // 144 bytes with what a frame takes beside
  EXPECT_EQ(outbox.post("a", frame), 0u);
  EXPECT_EQ(outbox.post("a", frame), 1u);
  EXPECT_EQ(outbox.post("b", frame), 0u);
  EXPECT_EQ(outbox.post("c", frame), 1u);
  EXPECT_LE(outbox.bytes(), 350u);
  room["c"] = 1;
  EXPECT_EQ(outbox.post("c", frame), 0u) << "nothing waits for it";
}

TEST_F(OutboxTest, TriesLessAndLessOftenWhileNothingGoes) {
  outbox.post("a", "1");
  EXPECT_EQ(outbox.pause(), Outbox<std::string>::least_pause);
  for (int i = 0; i < 20; ++i) flush();
  EXPECT_EQ(outbox.pause(), Outbox<std::string>::most_pause);
  room["a"] = 1;
  outbox.flush(now + Outbox<std::string>::most_pause - 1us);
  EXPECT_TRUE(sent.empty()) << "not yet";
  outbox.flush(now + Outbox<std::string>::most_pause);
  EXPECT_EQ(sent.size(), 1u);
  outbox.post("b", "1");
  EXPECT_EQ(outbox.pause(), Outbox<std::string>::least_pause);
}

}  // namespace
}  // namespace canopy::net
