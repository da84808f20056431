#include "core/net/zap.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/net/monitor.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;
using Frames = std::vector<std::string_view>;

const std::string key(32, '\x01');

Frames request() { return {"1.0", "1", "canopy", "127.0.0.1", "", "CURVE", key}; }

TEST(ZapRequest, IsReadWhole) {
  const auto parsed = parse_zap_request(request());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->request_id, "1");
  EXPECT_EQ(parsed->address, "127.0.0.1");
  EXPECT_TRUE(access::is_key(parsed->public_key));
}

TEST(ZapRequest, AnythingElseIsNone) {
  for (std::size_t i = 0; i < request().size(); ++i) {
    Frames shorter = request();
    shorter.resize(i);
    EXPECT_FALSE(parse_zap_request(shorter)) << i;
  }
  const auto changed = [](std::size_t at, std::string_view value) {
    Frames frames = request();
    frames[at] = value;
    return parse_zap_request(frames).has_value();
  };
  EXPECT_FALSE(changed(0, "2.0"));
  EXPECT_FALSE(changed(5, "PLAIN"));
  EXPECT_FALSE(changed(5, "NULL"));
  EXPECT_FALSE(changed(6, ""));
  EXPECT_FALSE(changed(6, std::string(31, 'x')));
  EXPECT_FALSE(changed(6, std::string(33, 'x')));
  Frames longer = request();
  longer.push_back("");
  EXPECT_FALSE(parse_zap_request(longer));
}

// A server and clients in one process, driven by one loop.
class Zap : public ::testing::Test {
 protected:
  Socket client(const access::KeyPair& own) {
    Socket socket(context, SocketType::dealer,
                  {.curve_client = CurveClient{server_keys.public_key, own}});
    EXPECT_TRUE(socket.connect(server.last_endpoint()));
    return socket;
  }
  // Until `done`, or too long.
  void run(const std::function<bool()>& done) {
    const auto begin = loop.now();
    bool is_done = false;
    const auto look = loop.every(1ms, [&] {
      is_done = done();
      if (is_done || loop.now() - begin > 10s) loop.stop();
    });
    loop.run();
    loop.cancel(look);
    EXPECT_TRUE(is_done);
  }

  const base::SystemClock clock;
  Loop loop{clock};
  Context context;
  const access::KeyPair server_keys = make_key_pair();
  const access::KeyPair known = make_key_pair();
  int refused = 0;
  ZapHandler handler{context, loop,
                     [this](std::string_view public_key) -> std::optional<std::string> {
                       if (public_key == known.public_key) return "friend";
                       return std::nullopt;
                     },
                     [this] { ++refused; }};
  Socket server{context, SocketType::router, listening({}, &server_keys)};
  Message message;

  void SetUp() override { ASSERT_TRUE(server.bind("tcp://127.0.0.1:*")); }
};

TEST_F(Zap, NamesAndCountsThoseItLetsIn) {
  Socket first = client(known);
  first.send({"hello"});
  run([&] { return server.receive(message); });
  EXPECT_EQ(message.sender(), access::Sender{"friend"});
  Socket second = client(known);
  second.send({"hello"});
  run([&] { return server.receive(message); });
  EXPECT_EQ(message.sender(), access::Sender{"friend"});
  EXPECT_EQ(context.let_in(), 2u);
  EXPECT_EQ(refused, 0);
}

TEST_F(Zap, RefusesStrangers) {
  Socket stranger = client(make_key_pair());
  stranger.send({"hello"});
  run([&] { return refused == 1; });
  EXPECT_FALSE(server.receive(message));
  EXPECT_EQ(context.let_in(), 0u);
}

TEST(ZapAbsent, NobodyIsLetIn) {
  const base::SystemClock clock;
  Loop loop(clock);
  Context context;
  const access::KeyPair keys = make_key_pair();
  Socket server(context, SocketType::router, listening({}, &keys));
  Monitor monitor(context, server, "server");
  ASSERT_TRUE(server.bind("tcp://127.0.0.1:*"));
  Socket client(context, SocketType::dealer, connecting({}, &keys));
  ASSERT_TRUE(client.connect(server.last_endpoint()));
  client.send({"hello"});
  const auto begin = loop.now();
  std::uint64_t failed = 0;
  loop.every(1ms, [&] {
    monitor.drain(loop.now());
    failed += monitor.take_failures().incomplete;
    if (failed > 0 || loop.now() - begin > 10s) loop.stop();
  });
  loop.run();
  EXPECT_GT(failed, 0u);
  Message message;
  EXPECT_FALSE(server.receive(message));
}

}  // namespace
}  // namespace canopy::net
