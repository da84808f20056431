#include "core/zmtp/peer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/core/zmtp/peers.h"

namespace canopy::zmtp {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::SizeIs;

using Parts = std::vector<std::string>;

struct Conversation {
  Fault fault = Fault::none;
  std::string output;
  Recorder recorded;
};

Conversation talk(SocketType ours, std::string_view bytes, Limits limits = {}) {
  Conversation result;
  Peer peer({.type = ours, .limits = limits});
  result.fault = peer.receive(bytes, result.recorded);
  result.output = peer.output();
  return result;
}

TEST(Peer, OpensWithTenBytesAndTheVersionAlone) {
  Peer peer({});
  EXPECT_EQ(peer.output(), std::string("\xff\0\0\0\0\0\0\0\1\x7f\3", 11));
}

TEST(Peer, MeetsADealerOfZmtp3) {
  const auto result =
      talk(SocketType::router, greeting(1) + ready("DEALER", "me") + message({"ask", "", "x"}));
  EXPECT_EQ(result.fault, Fault::none);
  ASSERT_THAT(result.recorded.ready, SizeIs(1));
  EXPECT_EQ(result.recorded.ready[0].major, 3);
  EXPECT_EQ(result.recorded.ready[0].minor, 1);
  EXPECT_EQ(result.recorded.ready[0].socket_type, SocketType::dealer);
  EXPECT_EQ(result.recorded.ready[0].routing_id, "me");
  EXPECT_THAT(result.recorded.messages, ElementsAre(Parts{"ask", "", "x"}));
  EXPECT_EQ(result.output, greeting(1) + command("READY", property("Socket-Type", "ROUTER")));
}

TEST(Peer, TakesALaterMajorVersionForItsOwn) {
  std::string later = greeting(7);
  later[10] = 9;
  const auto result = talk(SocketType::pull, later + ready("PUSH") + message({"x"}));
  EXPECT_EQ(result.fault, Fault::none);
  EXPECT_EQ(result.recorded.ready.at(0).major, 3);
  EXPECT_THAT(result.recorded.messages, ElementsAre(Parts{"x"}));
}

TEST(Peer, MeetsAPeerOfZmtp2) {
  const auto result =
      talk(SocketType::xpub, greeting_2(SocketType::sub) + message({std::string_view("\1/a/", 4)}) +
                                 message({std::string_view("\0/a/", 4)}));
  EXPECT_EQ(result.fault, Fault::none);
  EXPECT_EQ(result.recorded.ready.at(0).major, 2);
  EXPECT_THAT(result.recorded.subscriptions, ElementsAre(Pair("/a/", true), Pair("/a/", false)));
  EXPECT_EQ(result.output, std::string("\xff\0\0\0\0\0\0\0\1\x7f\3\x9\0\0", 14));
}

TEST(Peer, TellsSubscriptionsOfCommandsAndMessagesAlike) {
  const auto result =
      talk(SocketType::xpub, greeting(1) + ready("SUB") + command("SUBSCRIBE", "/a/") +
                                 message({"\1/b/"}) + command("CANCEL", "/a/") +
                                 command("SUBSCRIBE", ""));
  EXPECT_EQ(result.fault, Fault::none);
  EXPECT_THAT(result.recorded.subscriptions, ElementsAre(Pair("/a/", true), Pair("/b/", true),
                                                         Pair("/a/", false), Pair("", true)));
}

TEST(Peer, IgnoresWhatElseAPublisherIsSent) {
  const auto result = talk(SocketType::pub, greeting(0) + ready("XSUB") + message({"upstream"}) +
                                                message({"\1a", "b"}) + message({""}));
  EXPECT_EQ(result.fault, Fault::none);
  EXPECT_THAT(result.recorded.subscriptions, SizeIs(0));
  EXPECT_THAT(result.recorded.messages, SizeIs(0));
}

TEST(Peer, AnswersAPingWithItsContext) {
  Peer peer({});
  Recorder recorded;
  ASSERT_EQ(peer.receive(greeting(1) + ready("DEALER"), recorded), Fault::none);
  peer.output().clear();
  EXPECT_EQ(peer.receive(command("PING", std::string("\0\x64", 2) + "context"), recorded),
            Fault::none);
  EXPECT_EQ(peer.output(), command("PONG", "context"));
  EXPECT_EQ(peer.receive(command("PING", "x"), recorded), Fault::malformed);
}

TEST(Peer, IgnoresCommandsOfLaterVersions) {
  const auto result = talk(SocketType::router,
                           greeting(1) + ready("REQ") + command("FUTURE", "x") + message({"m"}));
  EXPECT_EQ(result.fault, Fault::none);
  EXPECT_THAT(result.recorded.messages, ElementsAre(Parts{"m"}));
}

TEST(Peer, SubscribesAsItsPeerUnderstandsIt) {
  for (const int minor : {0, 1}) {
    Peer peer({.type = SocketType::sub});
    Recorder recorded;
    ASSERT_EQ(peer.receive(greeting(minor) + ready("PUB"), recorded), Fault::none);
    std::string out;
    peer.append_subscription(out, "t", true);
    EXPECT_EQ(out, minor == 0 ? message({"\1t"}) : command("SUBSCRIBE", "t"));
  }
}

TEST(Peer, RefusesWhatDoesNotFit) {
  EXPECT_EQ(talk(SocketType::router, "GET / HTTP/1.1\r\n").fault, Fault::not_zmtp);
  EXPECT_EQ(talk(SocketType::router, std::string("\1\0", 2)).fault, Fault::version_1);
  EXPECT_EQ(talk(SocketType::router, std::string("\xff\0\0\0\0\0\0\0\1\x7f\0", 11)).fault,
            Fault::version_1);
  EXPECT_EQ(talk(SocketType::router, greeting(1, "PLAIN")).fault, Fault::mechanism);
  EXPECT_EQ(talk(SocketType::router, greeting(1) + message({"early"})).fault, Fault::handshake);
  EXPECT_EQ(talk(SocketType::router, greeting(1) + command("READY", "x")).fault, Fault::handshake);
  EXPECT_EQ(talk(SocketType::router, greeting(1) + command("ERROR", "\3why")).fault,
            Fault::refused);
  EXPECT_EQ(talk(SocketType::router, greeting_2(SocketType::sub)).fault, Fault::incompatible);

  const auto mismatch = talk(SocketType::router, greeting(1) + ready("SUB"));
  EXPECT_EQ(mismatch.fault, Fault::incompatible);
  EXPECT_TRUE(mismatch.output.ends_with(command("ERROR", "\x13Invalid socket type")));
}

TEST(Peer, HoldsMessagesToTheLimits) {
  const Limits limits{.frame_bytes = 10, .message_bytes = 15, .parts = 3};
  const std::string hello = greeting(1) + ready("DEALER");
  const auto fault = [&](const std::string& bytes) {
    return talk(SocketType::router, hello + bytes, limits).fault;
  };
  EXPECT_EQ(fault(message({"0123456789", "01234"})), Fault::none);
  EXPECT_EQ(fault(message({"01234567890"})), Fault::frame_too_large);
  EXPECT_EQ(fault(message({"0123456789", "012345"})), Fault::message_too_large);
  EXPECT_EQ(fault(message({"1", "2", "3", "4"})), Fault::too_many_parts);
  // Before its body has come.
  EXPECT_EQ(fault(std::string("\2\0\0\1\0\0\0\0\0", 9)), Fault::frame_too_large);
}

TEST(Peer, ReadsNothingAfterAFault) {
  Peer peer({});
  Recorder recorded;
  EXPECT_EQ(peer.receive("GET /", recorded), Fault::not_zmtp);
  EXPECT_EQ(peer.receive(greeting(1) + ready("DEALER"), recorded), Fault::not_zmtp);
  EXPECT_THAT(recorded.ready, SizeIs(0));
}

TEST(Peer, UndefinedFlagsAreMalformed) {
  const std::string hello = greeting(1) + ready("DEALER");
  EXPECT_EQ(talk(SocketType::router, hello + frame("x", 8)).fault, Fault::malformed);
  EXPECT_EQ(talk(SocketType::router, hello + frame("x", flag_command | flag_more)).fault,
            Fault::malformed);
  EXPECT_EQ(
      talk(SocketType::router, hello + frame("a", flag_more) + command("PING", "\0\0ab")).fault,
      Fault::malformed);
}

// However the bytes are cut, the same is recorded and answered.
TEST(Peer, MayBeCutAnywhere) {
  const std::string large(300, 'x');
  const std::vector<std::pair<SocketType, std::string>> talks = {
      {SocketType::router, greeting(1) + ready("DEALER", "id") + message({"a", large, ""}) +
                               command("PING", std::string("\0\1", 2) + "c") + message({"b"})},
      {SocketType::xpub,
       greeting(1) + ready("SUB") + command("SUBSCRIBE", "/a/") + message({"\1b"})},
      {SocketType::pull,
       greeting_2(SocketType::push, "name") + message({large}) + message({"", ""})},
      {SocketType::router, greeting(1) + ready("DEALER") + message({"a"}) + frame("x", 8)},
  };
  for (const auto& [ours, bytes] : talks) {
    const auto whole = talk(ours, bytes);
    const auto cut_at = [&](const std::vector<std::size_t>& cuts) {
      Peer peer({.type = ours});
      Recorder recorded;
      Fault fault = Fault::none;
      std::size_t from = 0;
      for (const std::size_t to : cuts) {
        fault = peer.receive(std::string_view(bytes).substr(from, to - from), recorded);
        from = to;
      }
      fault = peer.receive(std::string_view(bytes).substr(from), recorded);
      EXPECT_EQ(fault, whole.fault);
      EXPECT_EQ(recorded.messages, whole.recorded.messages);
      EXPECT_EQ(recorded.subscriptions, whole.recorded.subscriptions);
      EXPECT_EQ(recorded.ready.size(), whole.recorded.ready.size());
      EXPECT_EQ(peer.output(), whole.output);
    };
    std::vector<std::size_t> every;
    for (std::size_t at = 1; at < bytes.size(); ++at) {
      cut_at({at});
      every.push_back(at);
    }
    cut_at(every);
  }
}

// Hostile bytes end the connection or are read on; they never crash and never make it hold more
// than the limits allow.
TEST(Peer, SurvivesDamagedBytes) {
  std::mt19937 random(7);
  const std::string sound = greeting(1) + ready("DEALER") + message({"a", "b"}) +
                            command("PING", std::string("\0\1", 2) + "c") + message({"x"});
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = sound;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    Peer peer({.type = round % 2 == 0 ? SocketType::router : SocketType::xpub});
    Recorder recorded;
    const std::size_t cut = random() % bytes.size();
    peer.receive(std::string_view(bytes).substr(0, cut), recorded);
    peer.receive(std::string_view(bytes).substr(cut), recorded);
  }
}

}  // namespace
}  // namespace canopy::zmtp
