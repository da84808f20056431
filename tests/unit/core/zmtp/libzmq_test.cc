// zmtp::Peer against libzmq as it is: real sockets of libzmq connect to it over TCP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.hpp>

#include "tests/unit/core/zmtp/libzmq_peer.h"
#include "tests/unit/core/zmtp/peers.h"

namespace canopy::zmtp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// Accepts one connection and lets a Peer speak over it.
class Listener {
 public:
  explicit Listener(const Peer::Settings& settings) : peer_(settings) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(listener_, 1);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Listener() {
    if (connection_ >= 0) close(connection_);
    close(listener_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  Peer& peer() { return peer_; }
  Recorder recorded{};
  Fault fault = Fault::none;

  // Reads and answers until `done`, or nothing has come for ten seconds.
  template <typename Done>
  bool run(Done done) {
    if (connection_ < 0) connection_ = accept(listener_, nullptr, nullptr);
    while (!done()) {
      flush();
      pollfd waiting{.fd = connection_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 10'000) <= 0) return false;
      std::array<char, 1000> bytes;
      const ssize_t count = read(connection_, bytes.data(), bytes.size());
      if (count <= 0) return done();
      fault = peer_.receive({bytes.data(), static_cast<std::size_t>(count)}, recorded);
    }
    flush();
    return true;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = write(connection_, bytes.data(), bytes.size());
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

 private:
  void flush() { send(std::exchange(peer_.output(), {})); }

  Peer peer_;
  int listener_ = -1;
  int connection_ = -1;
  std::string endpoint_;
};

access::KeyPair make_keys() {
  std::array<char, 41> public_key{};
  std::array<char, 41> secret_key{};
  zmq_curve_keypair(public_key.data(), secret_key.data());
  return {.public_key = public_key.data(), .secret_key = secret_key.data()};
}

// Each test in the clear and with CURVE.
class LibzmqTest : public testing::TestWithParam<bool> {
 protected:
  Peer::Settings settings(SocketType type) {
    return {.type = type, .curve = GetParam() ? &server_ : nullptr};
  }
  zmq::socket_t connect(zmq::socket_type type, const std::string& endpoint) {
    zmq::socket_t made(context_, type);
    made.set(zmq::sockopt::linger, 0);
    if (GetParam()) {
      made.set(zmq::sockopt::curve_serverkey, server_keys_.public_key);
      made.set(zmq::sockopt::curve_publickey, client_keys_.public_key);
      made.set(zmq::sockopt::curve_secretkey, client_keys_.secret_key);
    }
    made.set(zmq::sockopt::rcvtimeo, 10'000);
    made.connect(endpoint);
    return made;
  }
  static void answer(Listener& listener, std::initializer_list<std::string_view> parts) {
    std::string bytes;
    listener.peer().append_message(bytes, std::span(parts.begin(), parts.size()));
    listener.send(bytes);
  }

  access::KeyPair server_keys_ = make_keys();
  access::KeyPair client_keys_ = make_keys();
  CurveServer server_ =
      CurveServer::of(server_keys_, [this](std::string_view key) -> std::optional<std::string> {
        if (key != client_keys_.public_key) return std::nullopt;
        return "alice";
      });
  zmq::context_t context_;
};

TEST_P(LibzmqTest, ADealerAsksAndIsAnswered) {
  Listener listener(settings(SocketType::router));
  auto dealer = connect(zmq::socket_type::dealer, listener.endpoint());
  const std::string large(100'000, 'x');
  send(dealer, {"ask", "", large});
  ASSERT_TRUE(listener.run([&] { return !listener.recorded.messages.empty(); }));
  EXPECT_THAT(listener.recorded.messages, ElementsAre(Parts{"ask", "", large}));
  EXPECT_EQ(listener.peer().info().user, GetParam() ? "alice" : "");
  answer(listener, {"answer", "", large});
  EXPECT_EQ(receive(dealer), (Parts{"answer", "", large}));
}

TEST_P(LibzmqTest, AReqAsksAndIsAnswered) {
  Listener listener(settings(SocketType::router));
  auto req = connect(zmq::socket_type::req, listener.endpoint());
  send(req, {"ask"});
  ASSERT_TRUE(listener.run([&] { return !listener.recorded.messages.empty(); }));
  EXPECT_THAT(listener.recorded.messages, ElementsAre(Parts{"", "ask"}));
  answer(listener, {"", "answer"});
  EXPECT_EQ(receive(req), Parts{"answer"});
}

TEST_P(LibzmqTest, ASubscriberSubscribesAndHears) {
  Listener listener(settings(SocketType::xpub));
  auto sub = connect(zmq::socket_type::sub, listener.endpoint());
  sub.set(zmq::sockopt::subscribe, "/a/");
  sub.set(zmq::sockopt::subscribe, "/b/");
  sub.set(zmq::sockopt::unsubscribe, "/b/");
  sub.set(zmq::sockopt::subscribe, "/end/");
  const auto ended = [&] {
    const auto& recorded = listener.recorded.subscriptions;
    return std::ranges::find(recorded, std::pair(std::string("/end/"), true)) != recorded.end();
  };
  ASSERT_TRUE(listener.run(ended));
  EXPECT_EQ(listener.recorded.subscriptions.front(), std::pair(std::string("/a/"), true));
  answer(listener, {"/a/1", "value"});
  EXPECT_EQ(receive(sub), (Parts{"/a/1", "value"}));
}

TEST_P(LibzmqTest, APushIsPulledFrom) {
  Listener listener(settings(SocketType::pull));
  auto push = connect(zmq::socket_type::push, listener.endpoint());
  for (int i = 0; i < 100; ++i) send(push, {"key", std::to_string(i)});
  ASSERT_TRUE(listener.run([&] { return listener.recorded.messages.size() == 100; }));
  EXPECT_EQ(listener.recorded.messages.back(), (Parts{"key", "99"}));
}

TEST_P(LibzmqTest, APublisherIsSubscribedTo) {
  Listener listener(settings(SocketType::sub));
  auto pub = connect(zmq::socket_type::xpub, listener.endpoint());
  ASSERT_TRUE(listener.run([&] { return listener.peer().ready(); }));
  std::string bytes;
  listener.peer().append_subscription(bytes, "", true);
  listener.send(bytes);
  EXPECT_EQ(receive(pub), Parts{"\1"});
  send(pub, {"key", "value"});
  ASSERT_TRUE(listener.run([&] { return !listener.recorded.messages.empty(); }));
  EXPECT_THAT(listener.recorded.messages, ElementsAre(Parts{"key", "value"}));
}

TEST_P(LibzmqTest, HeartbeatsOfLibzmqAreAnswered) {
  Listener listener(settings(SocketType::router));
  zmq::socket_t dealer(context_, zmq::socket_type::dealer);
  dealer.set(zmq::sockopt::heartbeat_ivl, 20);
  dealer.set(zmq::sockopt::heartbeat_timeout, 2000);
  dealer.set(zmq::sockopt::linger, 0);
  if (GetParam()) {
    dealer.set(zmq::sockopt::curve_serverkey, server_keys_.public_key);
    dealer.set(zmq::sockopt::curve_publickey, client_keys_.public_key);
    dealer.set(zmq::sockopt::curve_secretkey, client_keys_.secret_key);
  }
  dealer.connect(listener.endpoint());
  ASSERT_TRUE(listener.run([&] { return listener.peer().ready(); }));
  // Some bytes come although nothing is sent; after them the connection still works.
  std::size_t pings = 0;
  ASSERT_TRUE(listener.run([&] { return ++pings > 3; }));
  EXPECT_EQ(listener.fault, Fault::none);
  send(dealer, {"still here"});
  ASSERT_TRUE(listener.run([&] { return !listener.recorded.messages.empty(); }));
}

INSTANTIATE_TEST_SUITE_P(InTheClearAndWithCurve, LibzmqTest, testing::Bool(),
                         [](const auto& each) { return each.param ? "Curve" : "Null"; });

class CurveTest : public LibzmqTest {};

TEST_P(CurveTest, AnUnknownKeyIsRefused) {
  Listener listener(settings(SocketType::router));
  client_keys_ = make_keys();
  auto dealer = connect(zmq::socket_type::dealer, listener.endpoint());
  client_keys_ = make_keys();  // the one that the server knows is another
  ASSERT_TRUE(listener.run([&] { return listener.fault != Fault::none; }));
  EXPECT_EQ(listener.fault, Fault::unknown_key);
  EXPECT_THAT(listener.recorded.ready, IsEmpty());
}

TEST_P(CurveTest, AClientOfAnotherServerIsRefused) {
  Listener listener(settings(SocketType::router));
  server_keys_ = make_keys();
  auto dealer = connect(zmq::socket_type::dealer, listener.endpoint());
  ASSERT_TRUE(listener.run([&] { return listener.fault != Fault::none; }));
  EXPECT_EQ(listener.fault, Fault::wrong_server_key);
}

INSTANTIATE_TEST_SUITE_P(WithCurve, CurveTest, testing::Values(true),
                         [](const auto&) { return "Curve"; });

}  // namespace
}  // namespace canopy::zmtp
