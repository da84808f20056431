#include "loadtest/payload.h"

#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

TEST(Payload, ReadsWhatItWrote) {
  std::string value(100, '.');
  payload::write(value,
                 {.run = 0xfeedfacecafebeefULL, .publisher = 7, .counter = 9, .sent_us = 42});
  const auto stamp = payload::read(value);
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->run, 0xfeedfacecafebeefULL);
  EXPECT_EQ(stamp->publisher, 7u);
  EXPECT_EQ(stamp->counter, 9u);
  EXPECT_EQ(stamp->sent_us, 42);
}

TEST(Payload, CutOrForeignValuesAreNoStamps) {
  std::string value(payload::header_bytes, '\0');
  payload::write(value, {});
  EXPECT_TRUE(payload::read(value));
  for (std::size_t size = 0; size < payload::header_bytes; ++size) {
    EXPECT_FALSE(payload::read(std::string_view(value).substr(0, size)));
  }
  value[0] = 'x';
  EXPECT_FALSE(payload::read(value));
}

}  // namespace
}  // namespace canopy::loadtest
