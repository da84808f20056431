// Both ends of a connection are ours: a connecting Peer against a listening one, in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include <optional>
#include <random>

#include "tests/unit/core/zmtp/peers.h"

namespace canopy::zmtp {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::SizeIs;

using Parts = std::vector<std::string>;

access::KeyPair draw_keys(unsigned seed) {
  std::string public_key(32, '\0');
  std::string secret_key(32, '\0');
  std::mt19937 random(seed);
  for (char& byte : secret_key) byte = static_cast<char>(random());
  crypto_scalarmult_base(reinterpret_cast<unsigned char*>(public_key.data()),
                         reinterpret_cast<const unsigned char*>(secret_key.data()));
  return {.public_key = access::encode_key(public_key),
          .secret_key = access::encode_key(secret_key)};
}

class Conversation {
 public:
  Conversation(Peer::Settings connecting, Peer::Settings listening)
      : client(std::move(connecting)), server(std::move(listening)) {}

  // Carries bytes to and fro, `piece` at a time, until neither end has any.
  void carry(std::size_t piece) {
    while (!client.output().empty() || !server.output().empty()) {
      const std::string to_server = std::exchange(client.output(), {});
      server_fault = deliver(server, server_told, to_server, piece);
      const std::string to_client = std::exchange(server.output(), {});
      client_fault = deliver(client, client_told, to_client, piece);
    }
  }
  static Fault deliver(Peer& peer, Recorder& recorded, std::string_view bytes, std::size_t piece) {
    Fault fault = peer.receive({}, recorded);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      fault = peer.receive(bytes.substr(0, piece), recorded);
    }
    return fault;
  }

  Peer client, server;
  Recorder client_told, server_told;
  Fault client_fault = Fault::none;
  Fault server_fault = Fault::none;
};

class OwnPair : public testing::TestWithParam<bool> {
 protected:
  Peer::Settings connecting(SocketType type, std::string routing_id = {}) const {
    return {.type = type,
            .connects = true,
            .curve_client = GetParam() ? &client_ : nullptr,
            .routing_id = std::move(routing_id)};
  }
  Peer::Settings listening(SocketType type) const {
    return {.type = type, .curve = GetParam() ? &server_ : nullptr};
  }

  const access::KeyPair server_keys_ = draw_keys(1);
  const access::KeyPair client_keys_ = draw_keys(2);
  bool known_ = true;
  CurveClient client_ = CurveClient::of(server_keys_.public_key, client_keys_);
  CurveServer server_ =
      CurveServer::of(server_keys_, [this](std::string_view key) -> std::optional<std::string> {
        EXPECT_EQ(key, client_keys_.public_key);
        return known_ ? std::optional<std::string>("p1") : std::nullopt;
      });
};

INSTANTIATE_TEST_SUITE_P(Security, OwnPair, testing::Bool(),
                         [](const auto& each) { return each.param ? "Curve" : "Null"; });

// However the bytes are cut.
TEST_P(OwnPair, DealerAndRouterMeet) {
  const std::string large(300, 'x');
  for (std::size_t piece = 1; piece < 700; ++piece) {
    Conversation talk(connecting(SocketType::dealer, "session"), listening(SocketType::router));
    talk.carry(piece);
    ASSERT_TRUE(talk.client.ready() && talk.server.ready()) << piece;
    EXPECT_EQ(talk.client.info().socket_type, SocketType::router);
    EXPECT_EQ(talk.client.info().routing_id, "");
    EXPECT_EQ(talk.server.info().socket_type, SocketType::dealer);
    EXPECT_EQ(talk.server.info().routing_id, "session");
    EXPECT_EQ(talk.server.info().user, GetParam() ? "p1" : "");

    const std::array<std::string_view, 3> request{"ask", "", large};
    const std::array<std::string_view, 1> reply{"reply"};
    talk.client.append_message(talk.client.output(), request);
    talk.server.append_message(talk.server.output(), reply);
    talk.carry(piece);
    EXPECT_THAT(talk.server_told.messages, ElementsAre(Parts{"ask", "", large}));
    EXPECT_THAT(talk.client_told.messages, ElementsAre(Parts{"reply"}));
    EXPECT_EQ(talk.client_fault, Fault::none);
    EXPECT_EQ(talk.server_fault, Fault::none);
  }
}

TEST_P(OwnPair, ASubscriberIsPublishedTo) {
  for (const SocketType type : {SocketType::sub, SocketType::xsub}) {
    Conversation talk(connecting(type), listening(SocketType::xpub));
    talk.carry(1);
    ASSERT_TRUE(talk.client.ready() && talk.server.ready());
    talk.client.append_subscription(talk.client.output(), "/a/", true);
    talk.client.append_subscription(talk.client.output(), "/a/", false);
    std::string encoded;
    const std::array<std::string_view, 2> update{"/a/1", "value"};
    append_message(encoded, update);
    talk.server.append_encoded(talk.server.output(), encoded);
    talk.carry(1);
    EXPECT_THAT(talk.server_told.subscriptions, ElementsAre(Pair("/a/", true), Pair("/a/", false)));
    EXPECT_THAT(talk.client_told.messages, ElementsAre(Parts{"/a/1", "value"}));
  }
}

TEST_P(OwnPair, TypesThatDoNotFitDoNotMeet) {
  Conversation talk(connecting(SocketType::dealer), listening(SocketType::xpub));
  talk.carry(64);
  EXPECT_EQ(talk.server_fault, Fault::incompatible);
  EXPECT_FALSE(talk.client.ready());
  EXPECT_NE(talk.client_fault, Fault::none);
}

class SecuredPair : public OwnPair {};
INSTANTIATE_TEST_SUITE_P(Security, SecuredPair, testing::Values(true),
                         [](const auto&) { return "Curve"; });

TEST_P(SecuredPair, AnotherServerIsNotMet) {
  client_ = CurveClient::of(draw_keys(3).public_key, client_keys_);
  Conversation talk(connecting(SocketType::dealer), listening(SocketType::router));
  talk.carry(64);
  EXPECT_EQ(talk.server_fault, Fault::wrong_server_key);
  EXPECT_FALSE(talk.client.ready());
}

TEST_P(SecuredPair, AKeyThatTheServerDoesNotKnowIsRefused) {
  known_ = false;
  Conversation talk(connecting(SocketType::dealer), listening(SocketType::router));
  talk.carry(64);
  EXPECT_EQ(talk.server_fault, Fault::unknown_key);
  EXPECT_EQ(talk.client_fault, Fault::refused);
}

TEST_P(SecuredPair, NeitherEndTakesTheOtherInTheClear) {
  Peer::Settings in_the_clear{.type = SocketType::dealer, .connects = true};
  Conversation talk(in_the_clear, listening(SocketType::router));
  talk.carry(64);
  EXPECT_EQ(talk.server_fault, Fault::mechanism);
  EXPECT_EQ(talk.client_fault, Fault::mechanism);

  Conversation other(connecting(SocketType::dealer), {.type = SocketType::router});
  other.carry(64);
  EXPECT_EQ(other.server_fault, Fault::mechanism);
  EXPECT_EQ(other.client_fault, Fault::mechanism);
}

// Of WELCOME, READY and a message: each byte counts, in the boxes and outside.
TEST_P(SecuredPair, AClientTakesNoDamagedByte) {
  CurveServerSession server(server_);
  CurveClientSession client(client_);
  std::string hello;
  std::string welcome;
  std::string initiate;
  std::string metadata;
  ASSERT_EQ(client.hello(hello), Fault::none);
  ASSERT_EQ(server.on_hello(hello, welcome), Fault::none);
  const auto damaged = [](std::string bytes, std::size_t at) {
    bytes[at] ^= 1;
    return bytes;
  };
  for (std::size_t i = 0; i < welcome.size(); ++i) {
    EXPECT_NE(client.on_welcome(damaged(welcome, i), "ours", initiate), Fault::none) << i;
    EXPECT_NE(client.on_welcome(welcome.substr(0, i), "ours", initiate), Fault::none) << i;
  }
  ASSERT_EQ(client.on_welcome(welcome, "ours", initiate), Fault::none);
  ASSERT_EQ(server.on_initiate(initiate, metadata), Fault::none);
  EXPECT_EQ(metadata, "ours");
  const std::string ready = server.ready("theirs");
  for (std::size_t i = 0; i < ready.size(); ++i) {
    EXPECT_NE(client.on_ready(damaged(ready, i), metadata), Fault::none) << i;
    EXPECT_NE(client.on_ready(ready.substr(0, i), metadata), Fault::none) << i;
  }
  ASSERT_EQ(client.on_ready(ready, metadata), Fault::none);
  EXPECT_EQ(metadata, "theirs");
  EXPECT_EQ(client.on_ready(ready, metadata), Fault::cryptographic) << "its nonce is taken";
  CurveSession::Opened opened;
  EXPECT_EQ(server.open(client.seal(0, "x"), opened), Fault::none);
  EXPECT_NE(client.open(client.seal(0, "x"), opened), Fault::none) << "returned to its sender";
}

TEST(ConnectingPeer, MeetsARouterOfZmtp2) {
  Peer peer({.type = SocketType::dealer, .connects = true, .routing_id = "me"});
  Recorder recorded;
  EXPECT_EQ(peer.receive(greeting_2(SocketType::router) + message({"x"}), recorded), Fault::none);
  EXPECT_TRUE(peer.output().ends_with("\x5" + frame("me")));
  EXPECT_THAT(recorded.messages, ElementsAre(Parts{"x"}));
}

// Hostile bytes end the connection or are read on; they never crash.
TEST(ConnectingPeer, SurvivesDamagedBytes) {
  std::mt19937 random(7);
  const std::string sound = greeting(1) + ready("ROUTER") + message({"a", "b"}) + message({"x"});
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = sound;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    Peer peer({.type = round % 2 == 0 ? SocketType::dealer : SocketType::sub, .connects = true});
    Recorder recorded;
    const std::size_t cut = random() % bytes.size();
    peer.receive(std::string_view(bytes).substr(0, cut), recorded);
    peer.receive(std::string_view(bytes).substr(cut), recorded);
  }
}

}  // namespace
}  // namespace canopy::zmtp
