// What holds of every decoder of the folder alike.
#include "tests/unit/core/wire/decoders.h"

#include <gtest/gtest.h>

#include <random>

namespace canopy::wire {
namespace {

class Decoders : public testing::TestWithParam<Decoder> {};

TEST_P(Decoders, GiveEveryMessageBack) {
  for (const std::string& sample : GetParam().samples) {
    const auto again = GetParam().again(sample);
    ASSERT_TRUE(again) << testing::PrintToString(sample);
    // A compressed batch comes again as it was before.
    const bool compressed = sample == native::packed_batch();
    EXPECT_EQ(*again, compressed ? native::plain_batch() : sample);
  }
}

TEST_P(Decoders, RefuseEveryCut) {
  for (const std::string& sample : GetParam().samples) {
    for (std::size_t length = 0; length < sample.size(); ++length) {
      EXPECT_FALSE(GetParam().again(sample.substr(0, length))) << length;
    }
    EXPECT_FALSE(GetParam().again(sample + '\0'));
    EXPECT_FALSE(GetParam().again(sample + sample));
  }
}

// Nothing crashes, and whatever is taken for a message is one: encoded again, it is read as the
// same.
TEST_P(Decoders, MakeNoMoreOfNoiseThanItSays) {
  std::mt19937 random(3);
  const auto& samples = GetParam().samples;
  unsigned taken = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes = samples[random() % samples.size()];
    for (auto flips = 1 + random() % 3; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (i % 8 == 0) {
      bytes.resize(random() % 64);
      for (char& byte : bytes) byte = static_cast<char>(random());
    }
    const auto again = GetParam().again(bytes);
    if (!again) continue;
    ++taken;
    EXPECT_EQ(GetParam().again(*again), *again) << testing::PrintToString(bytes);
  }
  EXPECT_GT(taken, 0u);
}

TEST_P(Decoders, BelieveNoLengthThatCannotBe) {
  using namespace std::string_view_literals;
  for (const std::string_view head : {""sv, "\x01"sv, "\x02"sv, "\0"sv}) {
    for (const std::string_view body :
         {"\xdd\xff\xff\xff\xff"sv, "\x92\xdd\xff\xff\xff\xff"sv,
          "\x93\x04\x01\xdd\xff\xff\xff\xff"sv, "\x96\x04\x20\x01\0\0\xce\xff\xff\xff\xff"sv,
          "\x96\x04\x20\x01\0\0\xcd\x40\0"sv, "\x95\xcc\x80\x01\xc6\xff\xff\xff\xff"sv,
          "\x94\xcc\x81\x01\x01\xdd\xff\xff\xff\xff"sv,
          "\x96\xcc\x82\x01\xa0\0\0\xdf\xff\xff\xff\xff"sv,
          "\x96\xcc\xa0\x01\x01\x01\xdf\xff\xff\xff\xff"sv,
          "\x97\xcc\xc2\x01\xa0\0\x01\0\xce\xff\xff\xff\xff"sv, "\xdb\xff\xff\xff\xff"sv,
          "\xc1"sv}) {
      EXPECT_FALSE(GetParam().again(std::string(head) + std::string(body)));
    }
    EXPECT_FALSE(GetParam().again(std::string(head) + std::string(100'000, '\x91')));
    EXPECT_FALSE(GetParam().again(std::string(head) + std::string(100'000, '\x81')));
  }
}

const auto name_of = [](const auto& decoder) { return decoder.param.name; };
INSTANTIATE_TEST_SUITE_P(Link, Decoders, testing::ValuesIn(link_decoders()), name_of);
INSTANTIATE_TEST_SUITE_P(Replication, Decoders, testing::ValuesIn(replication_decoders()), name_of);
INSTANTIATE_TEST_SUITE_P(Native, Decoders, testing::ValuesIn(native::native_decoders()), name_of);

}  // namespace
}  // namespace canopy::wire
