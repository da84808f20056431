// The batches that libzmq subscribers get from a shard.
#include "shard/updates.h"

#include <gtest/gtest.h>

#include <zmq.hpp>

#include "core/wire/link.h"

namespace canopy::shard {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t queue_bytes = 10'000;

class UpdatesTest : public testing::Test {
 protected:
  UpdatesTest() { EXPECT_TRUE(updates_.open({})); }

  zmq::socket_t subscribe(const std::vector<std::string>& partitions, int receive_hwm = 1000) {
    zmq::socket_t made(context_, zmq::socket_type::sub);
    made.set(zmq::sockopt::linger, 0);
    made.set(zmq::sockopt::rcvhwm, receive_hwm);
    made.set(zmq::sockopt::rcvbuf, 4096);
    made.connect(updates_.endpoint());
    for (const auto& each : partitions) made.set(zmq::sockopt::subscribe, wire::batch_topic(each));
    return made;
  }
  std::string receive(zmq::socket_t& socket) {
    zmq::message_t message;
    return socket.recv(message, zmq::recv_flags::dontwait) ? message.to_string() : std::string();
  }
  void run(base::Duration time) {
    loop_.after(time, [this] { loop_.stop(); });
    loop_.run();
  }
  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 500; ++i) {
      if (done()) return true;
      run(20ms);
    }
    return false;
  }

  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  std::vector<std::string> closed_;
  net::Closings closings_{
      [this](const net::Closing& closing) { closed_.push_back(closing.closed); }};
  Updates updates_{
      server_,
      {.address = {.host = "127.0.0.1"}, .queue_bytes = queue_bytes, .send_buffer_bytes = 4096},
      closings_};
  zmq::context_t context_;
};

TEST_F(UpdatesTest, GoToSubscribersOfTheirPartition) {
  auto one = subscribe({"/a/"});
  auto both = subscribe({"/a/", "/a/b/"});
  const std::string of_a = wire::batch_topic("/a/") + "1";
  const std::string of_b = wire::batch_topic("/a/b/") + "2";
  std::string got;
  EXPECT_TRUE(until([&] {
    updates_.publish(of_a);
    return (got = receive(one)) == of_a && receive(both) == of_a;
  }));
  updates_.publish(of_b);
  EXPECT_TRUE(until([&] {
    got = receive(both);
    return got == of_b;
  }));
  while (!(got = receive(one)).empty()) EXPECT_EQ(got, of_a);
}

TEST_F(UpdatesTest, AFullQueueMissesWholeBatchesAndAnEmptyOneTakesAny) {
  auto slow = subscribe({"/a/"}, 1);
  const std::string topic = wire::batch_topic("/a/");
  EXPECT_TRUE(until([&] {
    updates_.publish(topic);
    return !receive(slow).empty();
  }));
  constexpr std::size_t large = 3 * queue_bytes;
  constexpr int count = 300;
  for (int i = 0; i < count; ++i) {
    updates_.publish(topic + std::to_string(i) + std::string(large, ' '));
    EXPECT_LE(server_.queued_bytes(), large + queue_bytes);
    run(1ms);
  }
  int received = 0;
  int last = -1;
  EXPECT_TRUE(until([&] {
    for (std::string got; !(got = receive(slow)).empty();) {
      if (got.size() == topic.size()) continue;
      EXPECT_GT(got.size(), large) << "not whole";
      const int number = std::stoi(got.substr(topic.size()));
      EXPECT_GT(number, last);
      last = number;
      ++received;
    }
    return received > 0 && server_.queued_bytes() == 0;
  }));
  EXPECT_LT(received, count);
  EXPECT_TRUE(until([&] {
    updates_.publish(topic + "live again");
    return receive(slow) == topic + "live again";
  }));
}

TEST_F(UpdatesTest, APeerThatSubscribesWithoutEndIsClosed) {
  zmq::socket_t greedy(context_, zmq::socket_type::sub);
  greedy.set(zmq::sockopt::linger, 0);
  greedy.set(zmq::sockopt::sndhwm, 0);  // of subscriptions
  greedy.connect(updates_.endpoint());
  for (int i = 0; i < 5000; ++i) greedy.set(zmq::sockopt::subscribe, std::to_string(i));
  EXPECT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(closed_.front(), "too_many_subscriptions");
}

}  // namespace
}  // namespace canopy::shard
