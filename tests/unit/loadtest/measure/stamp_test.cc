#include "loadtest/measure/stamp.h"

#include <gtest/gtest.h>

namespace canopy::measure {
namespace {

TEST(Stamp, ReadsWhatItWrote) {
  const Stamp greatest{.run = run_of(0xfeedfacecafebeefULL),
                       .publisher = max_publishers - 1,
                       .counter = 0xfedcba98u,
                       .sent_us = (std::int64_t{1} << 48) - 1};
  const Stamp least{.run = run_of(0), .publisher = 0, .counter = 1, .sent_us = 0};
  for (const auto& written : {greatest, least}) {
    std::string value(stamp_bytes, '.');
    write_stamp(value.data(), written);
    const auto stamp = read_stamp(value, written.run);
    ASSERT_TRUE(stamp);
    EXPECT_EQ(stamp->run, written.run);
    EXPECT_EQ(stamp->publisher, written.publisher);
    EXPECT_EQ(stamp->counter, written.counter);
    EXPECT_EQ(stamp->sent_us, written.sent_us);
  }
}

TEST(Stamp, LeavesTheRest) {
  std::string value(100, '.');
  write_stamp(value.data(), {.run = 1});
  EXPECT_EQ(value.substr(stamp_bytes), std::string(84, '.'));
}

TEST(Stamp, ShortValuesAndOtherRunsHaveNone) {
  std::string value(stamp_bytes, '\0');
  write_stamp(value.data(), {.run = 7});
  EXPECT_TRUE(read_stamp(value, 7));
  EXPECT_FALSE(read_stamp(value, 8));
  for (std::size_t size = 0; size < stamp_bytes; ++size) {
    EXPECT_FALSE(read_stamp(std::string_view(value).substr(0, size), 7));
  }
  // No run has the number 0.
  EXPECT_FALSE(read_stamp(std::string(16, '\0'), run_of(0)));
}

}  // namespace
}  // namespace canopy::measure
