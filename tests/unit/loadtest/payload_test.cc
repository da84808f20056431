#include "loadtest/payload.h"

#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

TEST(Payload, ReadsWhatItWrote) {
  const payload::Stamp most{.run = payload::run_of(0xfeedfacecafebeefULL),
                            .publisher = payload::max_publishers - 1,
                            .counter = 0xfedcba98u,
                            .sent_us = (std::int64_t{1} << 48) - 1};
  const payload::Stamp least{.run = payload::run_of(0), .publisher = 0, .counter = 1, .sent_us = 0};
  for (const auto& written : {most, least}) {
    std::string value(payload::header_bytes, '.');
    payload::write(value, written);
    const auto stamp = payload::read(value, written.run);
    ASSERT_TRUE(stamp);
    EXPECT_EQ(stamp->run, written.run);
    EXPECT_EQ(stamp->publisher, written.publisher);
    EXPECT_EQ(stamp->counter, written.counter);
    EXPECT_EQ(stamp->sent_us, written.sent_us);
  }
}

TEST(Payload, LeavesTheFilling) {
  std::string value(100, '.');
  payload::write(value, {.run = 1});
  EXPECT_EQ(value.substr(payload::header_bytes), std::string(84, '.'));
}

TEST(Payload, CutValuesAndThoseOfOthersAreNoStamps) {
  std::string value(payload::header_bytes, '\0');
  payload::write(value, {.run = 7});
  EXPECT_TRUE(payload::read(value, 7));
  EXPECT_FALSE(payload::read(value, 8));
  for (std::size_t size = 0; size < payload::header_bytes; ++size) {
    EXPECT_FALSE(payload::read(std::string_view(value).substr(0, size), 7));
  }
  // A value of zeros is nobody's.
  EXPECT_FALSE(payload::read(std::string(16, '\0'), payload::run_of(0)));
}

}  // namespace
}  // namespace canopy::loadtest
