#include <gtest/gtest.h>
#include <sodium.h>

#include "core/zmtp/command.h"
#include "core/zmtp/curve_server.h"

namespace canopy::zmtp {
namespace {

const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

struct Pair {
  std::string public_key = std::string(crypto_box_PUBLICKEYBYTES, '\0');
  std::string secret_key = std::string(crypto_box_SECRETKEYBYTES, '\0');
  Pair() { crypto_box_keypair(raw(public_key), raw(secret_key)); }
};

std::string counter(std::uint64_t value) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string box(std::string_view plain, const std::string& nonce, const std::string& to,
                const std::string& from) {
  std::string sealed(plain.size() + crypto_box_MACBYTES, '\0');
  EXPECT_EQ(nonce.size(), crypto_box_NONCEBYTES);
  EXPECT_EQ(crypto_box_easy(raw(sealed), raw(plain), plain.size(), raw(nonce), raw(to), raw(from)),
            0);
  return sealed;
}

std::string unbox(std::string_view sealed, const std::string& nonce, const std::string& from,
                  const std::string& to) {
  std::string plain(sealed.size() - crypto_box_MACBYTES, '\0');
  EXPECT_EQ(nonce.size(), crypto_box_NONCEBYTES);
  EXPECT_EQ(
      crypto_box_open_easy(raw(plain), raw(sealed), sealed.size(), raw(nonce), raw(from), raw(to)),
      0);
  return plain;
}

// A client made by hand from RFC 26, and the session that serves it.
class CurveServerTest : public testing::Test {
 protected:
  std::string hello(std::uint64_t nonce = 1) {
    return std::string("\x05HELLO\x01\0", 8) + std::string(72, '\0') + transient_.public_key +
           counter(nonce) +
           box(std::string(64, '\0'), "CurveZMQHELLO---" + counter(nonce), server_keys_.public_key,
               transient_.secret_key);
  }
  void take_welcome(const std::string& welcome) {
    ASSERT_EQ(welcome.size(), 168u);
    const std::string plain = unbox(welcome.substr(24), "WELCOME-" + welcome.substr(8, 16),
                                    server_keys_.public_key, transient_.secret_key);
    server_transient_ = plain.substr(0, 32);
    cookie_ = plain.substr(32);
  }
  std::string initiate(const std::string& vouched, std::uint64_t nonce = 2) {
    const std::string unique(16, 'u');
    const std::string vouch =
        unique + box(vouched, "VOUCH---" + unique, server_transient_, client_keys_.secret_key);
    return "\x08INITIATE" + cookie_ + counter(nonce) +
           box(client_keys_.public_key + vouch + "metadata", "CurveZMQINITIATE" + counter(nonce),
               server_transient_, transient_.secret_key);
  }
  std::string vouched() const { return transient_.public_key + server_keys_.public_key; }
  std::string message(std::uint64_t nonce, std::string_view flags_and_body) {
    return "\x07MESSAGE" + counter(nonce) +
           box(flags_and_body, "CurveZMQMESSAGEC" + counter(nonce), server_transient_,
               transient_.secret_key);
  }
  void shake_hands() {
    std::string welcome;
    ASSERT_EQ(session_.on_hello(hello(), welcome), Fault::none);
    take_welcome(welcome);
    std::string metadata;
    ASSERT_EQ(session_.on_initiate(initiate(vouched()), metadata), Fault::none);
    EXPECT_EQ(metadata, "metadata");
  }

  Pair server_keys_, client_keys_, transient_;
  std::string server_transient_, cookie_;
  bool known_ = true;
  CurveServer server_ =
      CurveServer::of({.public_key = access::encode_key(server_keys_.public_key),
                       .secret_key = access::encode_key(server_keys_.secret_key)},
                      [this](std::string_view key) -> std::optional<std::string> {
                        EXPECT_EQ(key, access::encode_key(client_keys_.public_key));
                        return known_ ? std::optional<std::string>("alice") : std::nullopt;
                      });
  CurveServerSession session_{server_};
};

TEST_F(CurveServerTest, OpensWhatItsClientSeals) {
  shake_hands();
  EXPECT_EQ(session_.user(), "alice");
  const std::string ready = session_.ready("ours");
  EXPECT_EQ(unbox(ready.substr(14), "CurveZMQREADY---" + ready.substr(6, 8), server_transient_,
                  transient_.secret_key),
            "ours");
  CurveServerSession::Opened opened;
  ASSERT_EQ(session_.open(message(3, "\1body"), opened), Fault::none);
  EXPECT_EQ(opened.flags, curve_flag_more);
  EXPECT_EQ(opened.body, "body");
  const std::string sealed = session_.seal(curve_flag_command, "answer");
  EXPECT_EQ(unbox(sealed.substr(16), "CurveZMQMESSAGES" + sealed.substr(8, 8), server_transient_,
                  transient_.secret_key),
            "\2answer");
}

TEST_F(CurveServerTest, NeverTakesANonceTwice) {
  shake_hands();
  CurveServerSession::Opened opened;
  const std::string first = message(3, std::string_view("\0a", 2));
  EXPECT_EQ(session_.open(first, opened), Fault::none);
  EXPECT_EQ(session_.open(first, opened), Fault::cryptographic);
  EXPECT_EQ(session_.open(message(2, std::string_view("\0b", 2)), opened), Fault::cryptographic);
  EXPECT_EQ(session_.open(message(9, std::string_view("\0c", 2)), opened), Fault::none);
}

TEST_F(CurveServerTest, RefusesEveryDamagedByteOfAMessage) {
  shake_hands();
  CurveServerSession::Opened opened;
  const std::string sound = message(3, std::string_view("\0body", 5));
  for (std::size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] ^= 1;
    EXPECT_NE(session_.open(damaged, opened), Fault::none) << i;
    EXPECT_NE(session_.open(std::string_view(sound).substr(0, i), opened), Fault::none) << i;
  }
  EXPECT_EQ(session_.open(sound, opened), Fault::none);
}

TEST_F(CurveServerTest, RefusesEveryDamagedByteOfTheHandshake) {
  const std::string sound_hello = hello();
  std::string welcome;
  for (std::size_t i = 0; i < sound_hello.size(); ++i) {
    if (i >= 8 && i < 80) continue;  // padding means nothing
    std::string damaged = sound_hello;
    damaged[i] ^= 1;
    EXPECT_NE(CurveServerSession(server_).on_hello(damaged, welcome), Fault::none) << i;
  }
  ASSERT_EQ(session_.on_hello(sound_hello, welcome), Fault::none);
  take_welcome(welcome);
  const std::string sound = initiate(vouched());
  std::string metadata;
  for (std::size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] ^= 1;
    EXPECT_NE(session_.on_initiate(damaged, metadata), Fault::none) << i;
  }
  EXPECT_EQ(session_.on_initiate(sound, metadata), Fault::none);
}

TEST_F(CurveServerTest, RefusesAVouchForAnotherConnection) {
  std::string welcome;
  ASSERT_EQ(session_.on_hello(hello(), welcome), Fault::none);
  take_welcome(welcome);
  std::string metadata;
  const Pair other;
  EXPECT_EQ(session_.on_initiate(initiate(other.public_key + server_keys_.public_key), metadata),
            Fault::cryptographic);
  EXPECT_EQ(session_.on_initiate(initiate(transient_.public_key + other.public_key, 3), metadata),
            Fault::cryptographic);
}

TEST_F(CurveServerTest, RefusesAKeyThatItDoesNotKnow) {
  known_ = false;
  std::string welcome;
  ASSERT_EQ(session_.on_hello(hello(), welcome), Fault::none);
  take_welcome(welcome);
  std::string metadata;
  EXPECT_EQ(session_.on_initiate(initiate(vouched()), metadata), Fault::unknown_key);
}

TEST(Keys, AreWrittenAsZ85) {
  // The example of RFC 32.
  const std::string bytes("\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B", 8);
  EXPECT_EQ(access::encode_key(bytes), "HelloWorld");
  const Pair keys;
  const std::string text = access::encode_key(keys.public_key);
  ASSERT_TRUE(access::is_key(text));
  EXPECT_EQ(access::decode_key(text), keys.public_key);
  EXPECT_EQ(access::decode_key("short"), std::nullopt);
  EXPECT_EQ(access::decode_key(std::string(40, '#')), std::nullopt);  // above 32 bits
}

}  // namespace
}  // namespace canopy::zmtp
