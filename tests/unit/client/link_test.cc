// Links to listeners of our own.
#include "client/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "core/base/clock.h"
#include "core/net/connections.h"
#include "tests/unit/core/net/run_until.h"

namespace canopy::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Answers each frame with its name and the frame.
class Peer final : public net::ConnectionEvents {
 public:
  Peer(net::Connections& server, std::string name) : name_(std::move(name)) {
    net::ListenerSettings settings{.address = {"127.0.0.1"}};
    settings.connection.peer.type = zmtp::SocketType::router;
    listener_ = std::make_unique<net::Listener>(server, std::move(settings), *this);
    const auto status = listener_->open();
    EXPECT_TRUE(status) << status.error();
  }
  const std::string& endpoint() const { return listener_->endpoint(); }
  std::size_t connections() const { return listener_->size(); }

  std::vector<std::string> heard;

 private:
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override {
    heard.emplace_back(parts[0]);
    const std::string answer = name_ + " " + heard.back();
    const std::string_view part = answer;
    connection.send(std::span(&part, 1));
  }

  const std::string name_;
  std::unique_ptr<net::Listener> listener_;
};

class LinkTest : public testing::Test {
 protected:
  template <typename Met>
  bool run_until(Met met) {
    return net::run_until(loop_, met);
  }

  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  std::vector<std::string> heard_;
  int lost_ = 0;
  Link link_{server_,
             std::nullopt,
             {.on_frame = [this](std::string_view frame) { heard_.emplace_back(frame); },
              .on_lost = [this] { ++lost_; }}};
};

TEST_F(LinkTest, WhatIsSentWaitsForTheConnection) {
  Peer peer(server_, "a");
  ASSERT_TRUE(link_.connect(peer.endpoint()));
  link_.send("1");
  link_.send("2");
  ASSERT_TRUE(run_until([&] { return heard_.size() == 2; }));
  link_.send("3");
  ASSERT_TRUE(run_until([&] { return heard_.size() == 3; }));
  EXPECT_THAT(heard_, ElementsAre("a 1", "a 2", "a 3"));
  EXPECT_EQ(lost_, 0);
}

TEST_F(LinkTest, NothingOfAPeerThatWasLeftIsHeard) {
  Peer one(server_, "a"), other(server_, "b");
  ASSERT_TRUE(link_.connect(one.endpoint()));
  link_.send("never sent");
  ASSERT_TRUE(link_.connect(other.endpoint()));
  link_.send("1");
  ASSERT_TRUE(run_until([&] { return heard_.size() == 1; }));
  link_.send("2");  // the link leaves this peer before an answer can come
  ASSERT_TRUE(link_.connect(one.endpoint()));
  link_.send("3");
  ASSERT_TRUE(run_until([&] { return heard_.size() == 2 && other.connections() == 0; }));
  EXPECT_THAT(heard_, ElementsAre("b 1", "a 3"));
  EXPECT_THAT(one.heard, ElementsAre("3"));
  EXPECT_EQ(lost_, 0) << "it was left";
}

TEST_F(LinkTest, TellsWhenTheConnectionEndsAndWhenThereIsNone) {
  auto peer = std::make_unique<Peer>(server_, "a");
  ASSERT_TRUE(link_.connect(peer->endpoint()));
  link_.send("1");
  ASSERT_TRUE(run_until([&] { return heard_.size() == 1; }));
  peer.reset();
  ASSERT_TRUE(run_until([&] { return lost_ == 1; }));
  ASSERT_TRUE(run_until([&] { return lost_ == 2; })) << "no peer listens";
  link_.disconnect();
  EXPECT_FALSE(link_.connect("nowhere"));
}

}  // namespace
}  // namespace canopy::client
