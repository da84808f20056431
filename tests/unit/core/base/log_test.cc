#include "core/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::base::log {
namespace {

TEST(Log, TheTimeOfALineIsThatOfRfc3339) {
  testing::internal::CaptureStderr();
  configure("proxy/p1", Level::info, Format::text);
  warn("upstream", "hole repaired", {{"missed", 3}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::MatchesRegex("warni?n?g? +[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+"
                                    "[-+][0-9][0-9]:[0-9][0-9] proxy/p1 upstream: hole repaired "
                                    "missed=3\n"));
}

}  // namespace
}  // namespace canopy::base::log
