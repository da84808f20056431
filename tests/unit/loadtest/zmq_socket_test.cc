#include "loadtest/zmq_socket.h"

#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

using namespace std::chrono_literals;

class ZmqSocketTest : public testing::Test {
 protected:
  ZmqSocketTest() {
    const auto endpoint = server_.bind();
    EXPECT_TRUE(endpoint) << endpoint.error();
    EXPECT_TRUE(client_.connect(*endpoint));
    loop_.after(10s, [this] { loop_.stop(); });
  }

  base::SystemClock clock_;
  net::Loop loop_{clock_};
  zmq::context_t zmq_;
  ZmqWatcher watcher_{loop_};
  ZmqSocket server_{zmq_, zmq::socket_type::router, {}};
  ZmqSocket client_{zmq_, zmq::socket_type::dealer, {}};
};

TEST_F(ZmqSocketTest, AMessageThatAHandlerLeavesIsFoundInTheNextTurn) {
  int received = 0, turns = 0;
  watcher_.on_readable(server_, [&] {
    ZmqMessage message;
    received += server_.receive(message) ? 1 : 0;
    ++turns;
    if (received == 5) loop_.stop();
  });
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client_.send({"x"}));
  loop_.run();
  EXPECT_EQ(received, 5);
  EXPECT_GE(turns, 5) << "one a turn";
}

// A send drains the socket's mailbox, and with it the notice that a message has arrived.
TEST_F(ZmqSocketTest, AMessageThatArrivesDuringASendIsFound) {
  ASSERT_TRUE(client_.send({"first"}));
  int answers = 0, rounds = 0;
  watcher_.on_readable(client_, [&] {
    ZmqMessage message;
    while (client_.receive(message)) ++answers;
  });
  loop_.every(1ms, [&] {
    ZmqMessage message;
    while (server_.receive(message)) {
      const std::string peer(message[0]);
      server_.send({peer, "answer"});
    }
    if (rounds < 20 && client_.send({"more"})) ++rounds;
    if (answers == 21) loop_.stop();
  });
  loop_.run();
  EXPECT_EQ(answers, 21);
}

TEST_F(ZmqSocketTest, AHandlerMayRemoveItsSocket) {
  int calls = 0;
  watcher_.on_readable(server_, [&] {
    ++calls;
    watcher_.remove(server_);
    loop_.after(30ms, [&] { loop_.stop(); });
  });
  ASSERT_TRUE(client_.send({"x"}));
  loop_.run();
  EXPECT_EQ(calls, 1) << "the message is unread, but the watcher no longer polls the socket";
}

}  // namespace
}  // namespace canopy::loadtest
