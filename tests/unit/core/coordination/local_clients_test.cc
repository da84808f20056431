// Native clients at the local coordinator's endpoint, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/coordination/local.h"
#include "core/coordination/local_server.h"

namespace canopy::coordination {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;

class LocalClientsTest : public testing::Test {
 protected:
  LocalClientsTest() {
    server.on_rejected([this](std::string_view reason) { rejected.emplace_back(reason); });
    EXPECT_TRUE(server.bind("tcp://127.0.0.1:*"));
    EXPECT_TRUE(client.connect(server.endpoint()));
    loop.on_readable(client, [this] {
      net::Message message;
      while (client.receive(message)) {
        auto decoded = native::decode_from_broker(message[0]);
        ASSERT_TRUE(decoded) << decoded.error();
        answers.push_back(std::move(*decoded));
      }
    });
  }

  bool until(const std::function<bool()>& done) {
    const auto give_up = loop.now() + 10s;
    const auto poll = loop.every(2ms, [&] {
      if (done() || loop.now() >= give_up) loop.stop();
    });
    loop.run();
    loop.cancel(poll);
    return done();
  }
  native::FromBroker ask(const std::string& frame) {
    answers.clear();
    client.send({frame});
    EXPECT_TRUE(until([this] { return !answers.empty(); }));
    return answers.empty() ? native::Refusal{} : answers.front();
  }
  auto members(const std::string& prefix) {
    return std::get<native::Members>(ask(encode(native::Directory{1, prefix}))).members;
  }

  base::SystemClock clock;
  net::Context context;
  net::Loop loop{clock};
  LocalServer server{context, loop, 600ms};
  net::Socket client{context, net::SocketType::dealer, {}};
  std::vector<native::FromBroker> answers;
  std::vector<std::string> rejected;
};

TEST_F(LocalClientsTest, AreToldWhoIsThereAndWhoShouldBe) {
  server.expect({{"proxies/p1", "down 1"}, {"proxies/p2", "down 2"}, {"shards/s", "down s"}});
  const auto proxy = make_local_coordinator(context, loop, server.endpoint(), "p1");
  proxy->announce("proxies/p1", "here");
  ASSERT_TRUE(until([this] { return server.directory().entries().size() == 1; }));
  EXPECT_THAT(members("proxies/"),
              ElementsAre(Pair("proxies/p1", "here"), Pair("proxies/p2", "down 2")));
  EXPECT_EQ(members("").size(), 3u);
  EXPECT_TRUE(members("nobody/").empty());
}

TEST_F(LocalClientsTest, MayAskForAProcessToBeDrained) {
  std::vector<std::string> asked;
  server.on_drain([&](const std::string& name) {
    asked.push_back(name);
    return name == "p1";
  });
  EXPECT_EQ(std::get<native::Drained>(ask(encode(native::Drain{4, "p1"}))).request, 4u);
  const auto refusal = std::get<native::Refusal>(ask(encode(native::Drain{5, "p9"})));
  EXPECT_EQ(refusal.request, 5u);
  EXPECT_EQ(refusal.fault, wire::Fault::not_found);
  EXPECT_THAT(asked, ElementsAre("p1", "p9"));
  EXPECT_THAT(rejected, ElementsAre("not_found"));
}

TEST_F(LocalClientsTest, GetNumberedRefusalsForWhatIsNoRequest) {
  std::string frame = encode(native::Drain{4, "p1"});
  frame.front() = 9;
  EXPECT_EQ(std::get<native::Refusal>(ask(frame)).fault, wire::Fault::version_unknown);
  EXPECT_EQ(std::get<native::Refusal>(ask(encode(native::Ping{.request = 1}))).fault,
            wire::Fault::kind_unknown);
  EXPECT_THAT(rejected, ElementsAre("version_unknown", "kind_unknown"));
}

}  // namespace
}  // namespace canopy::coordination
