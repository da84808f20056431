#include "core/coordination/messages.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/base/limits.h"

namespace canopy::coordination {
namespace {

const std::string binary("\x00\xff{}\n", 5);

std::vector<Request> requests() {
  return {Register{"p1", 4, 8'388'607, "r", "x-1"},
          Ping{},
          Announce{"proxies/p1", binary},
          CompareAndSet{9, "replicas/", std::string(300, 'v'), 1ULL << 63},
          Watch{"shards/"},
          Resign{}};
}

std::vector<Reply> replies() {
  return {Welcome{3'000'000, 5, "r", 7},
          Pong{7},
          cluster::KeyChanged{"k", binary, 12},
          cluster::KeyChanged{"k", std::nullopt, 13},
          cluster::Watched{""},
          cluster::Swapped{9, true},
          cluster::Failed{cluster::Fault::key_taken, "k"},
          cluster::Renewed{8'388'607}};
}

// Every message, encoded; the flag selects the decoder of its direction.
std::vector<std::pair<bool, std::string>> frames() {
  std::vector<std::pair<bool, std::string>> result;
  for (const Request& request : requests()) result.emplace_back(true, encode(request, 77));
  for (const Reply& reply : replies()) result.emplace_back(false, encode(reply, 77));
  return result;
}

// Decodes and encodes again; empty for an error.
std::string round_trip(bool is_request, std::string_view frame) {
  if (is_request) {
    const auto message = decode_request(frame);
    return message ? encode(message->body, message->number) : std::string();
  }
  const auto message = decode_reply(frame);
  return message ? encode(message->body, message->number) : std::string();
}

TEST(MessagesTest, EveryMessageComesBackWhole) {
  for (const auto& [is_request, frame] : frames()) {
    EXPECT_EQ(round_trip(is_request, frame), frame);
    EXPECT_LE(frame.size(), max_message_bytes);
  }
}

TEST(MessagesTest, FieldsArriveInTheirPlaces) {
  const auto registered = decode_request(encode(Request(Register{"p1", 2, 4, "r", "x"}), 3));
  ASSERT_TRUE(registered);
  EXPECT_EQ(registered->number, 3U);
  EXPECT_EQ(std::get<Register>(registered->body).name, "p1");
  EXPECT_EQ(std::get<Register>(registered->body).generation, 2U);
  EXPECT_EQ(std::get<Register>(registered->body).known, 4U);
  EXPECT_EQ(std::get<Register>(registered->body).record, "r");
  EXPECT_EQ(std::get<Register>(registered->body).identity, "x");
  const auto change = decode_reply(encode(Reply(cluster::KeyChanged{"k", binary, 8}), 0));
  ASSERT_TRUE(change);
  EXPECT_EQ(std::get<cluster::KeyChanged>(change->body).value, binary);
  EXPECT_EQ(std::get<cluster::KeyChanged>(change->body).version, 8U);
}

TEST(MessagesTest, ValuesOfFullLengthFit) {
  const std::string value(cluster::max_directory_value_bytes, 'v');
  const std::string key(cluster::max_directory_key_bytes, 'k');
  const std::string frame = encode(Request(CompareAndSet{~0ULL, key, value, ~0ULL}), ~0ULL);
  EXPECT_LE(frame.size(), max_message_bytes);
  EXPECT_EQ(round_trip(true, frame), frame);
}

TEST(MessagesTest, EveryCutIsAnError) {
  for (const auto& [is_request, frame] : frames()) {
    for (std::size_t length = 0; length < frame.size(); ++length) {
      EXPECT_EQ(round_trip(is_request, std::string_view(frame).substr(0, length)), "");
    }
    EXPECT_EQ(round_trip(is_request, frame + '\0'), "") << "surplus bytes";
  }
}

TEST(MessagesTest, TheOtherDirectionIsAnError) {
  for (const auto& [is_request, frame] : frames()) EXPECT_EQ(round_trip(!is_request, frame), "");
}

TEST(MessagesTest, ErrorsSayWhatIsWrong) {
  std::string frame = encode(Request(Ping{}), 1);
  frame[0] = 9;
  EXPECT_EQ(decode_request(frame).error(), "protocol version 9, expected 3");
  EXPECT_EQ(decode_request("").error(), "empty message");
  EXPECT_EQ(decode_request("\x03\x05").error(), "not a MessagePack array");
  EXPECT_EQ(decode_request("\x03\x92\x40\x01").error(), "unknown message type 64");
  EXPECT_EQ(decode_request("\x03\x92\x04\x01").error(), "unknown message type 4");
  EXPECT_EQ(decode_reply("\x03\x92\x45\x01").error(), "unknown message type 69");
  EXPECT_EQ(decode_request("\x03\x93\x02\x01\x01").error(), "wrong fields in a message of type 2");
  EXPECT_EQ(decode_request("\x03\x93\x06\x01\x01").error(), "wrong fields in a message of type 6");
}

TEST(MessagesTest, HugeClaimsAreRefusedBeforeAnyMemoryIsTaken) {
  EXPECT_FALSE(decode_request(std::string("\x03\xdd\xff\xff\xff\xff", 6)));              // array
  EXPECT_FALSE(decode_request(std::string("\x03\x93\x06\x01\xdb\xff\xff\xff\xff", 9)));  // string
  EXPECT_FALSE(decode_request(std::string("\x03\xdf\xff\xff\xff\xff", 6)));              // map
  std::string nested(1, '\x03');
  nested += std::string(60'000, '\x91');
  EXPECT_FALSE(decode_request(nested));
  EXPECT_FALSE(decode_request('\x03' + std::string(max_message_bytes, '\x01')));
}

TEST(MessagesTest, NoiseNeverHarms) {
  std::mt19937 random(1);
  const auto all = frames();
  for (int i = 0; i < 200'000; ++i) {
    auto [is_request, frame] = all[random() % all.size()];
    if (i % 2 == 0) {  // a message with some bytes changed
      for (auto flips = 1 + random() % 3; flips > 0; --flips) {
        frame[random() % frame.size()] = static_cast<char>(random());
      }
    } else {
      frame.resize(1 + random() % 40);
      for (std::size_t at = 1; at < frame.size(); ++at) frame[at] = static_cast<char>(random());
      frame[0] = 3;
    }
    const std::string again = round_trip(is_request, frame);
    if (!again.empty()) {
      EXPECT_EQ(round_trip(is_request, again), again);
    }
  }
}

}  // namespace
}  // namespace canopy::coordination
