#include "broker/reload_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::broker {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

class ReloadWatchTest : public testing::Test {
 protected:
  void say(const std::string& name, const base::FileRead& read, std::uint64_t uptime_ms = 60'000) {
    EXPECT_TRUE(vitals_.apply(
        {"vitals/" + name,
         to_json(wire::Vitals{.name = name, .uptime_ms = uptime_ms, .file = read}), 1},
        now_));
  }
  auto outcome() const { return watch_.outcome(vitals_, now_); }

  base::TimePoint now_{1h};
  VitalsBook vitals_;
  ReloadWatch watch_{"new",
                     false,
                     {{.name = "p1", .supervised = true, .present = true, .reloads = 2},
                      {.name = "p2", .supervised = false, .present = true, .reloads = 0}},
                     now_};
};

TEST_F(ReloadWatchTest, WaitsUntilEveryProcessRunsTheFile) {
  EXPECT_EQ(outcome(), std::nullopt);
  say("p1", {"old", 2, ""});
  say("p2", {"new", 0, ""});
  EXPECT_EQ(outcome(), std::nullopt);
  say("p1", {"new", 3, ""});
  EXPECT_THAT(outcome(), Optional(IsEmpty()));
}

TEST_F(ReloadWatchTest, NamesTheProcessThatRefuses) {
  say("p1", {"new", 3, "too many clients"});
  say("p2", {"new", 1, ""});
  EXPECT_THAT(outcome(), Optional(ElementsAre("p1: too many clients")));
}

TEST_F(ReloadWatchTest, AnEarlierReloadDoesNotCount) {
  say("p1", {"new", 2, "too many clients"});
  say("p2", {"new", 1, ""});
  EXPECT_EQ(outcome(), std::nullopt);
}

TEST_F(ReloadWatchTest, NamesTheProcessThatDoesNotReportInTime) {
  say("p1", {"old", 2, ""});
  say("p2", {"old", 0, ""});
  now_ += ReloadWatch::timeout - 1ms;
  EXPECT_EQ(outcome(), std::nullopt);
  now_ += 1ms;
  EXPECT_THAT(outcome(),
              Optional(ElementsAre(
                  "p1: has not reported that it read the file",
                  "p2: runs another file, and is not supervised by this broker: send it HUP")));
}

TEST_F(ReloadWatchTest, AProcessThatHasStartedSinceRunsTheFileItRead) {
  say("p2", {"new", 0, ""});
  now_ += 500ms;
  say("p1", {"new", 0, ""}, 100);
  EXPECT_THAT(outcome(), Optional(IsEmpty()));
}

TEST_F(ReloadWatchTest, NamesAProcessThatIsDownAtOnce) {
  watch_ = ReloadWatch("new", false, {{.name = "p3"}}, now_);
  EXPECT_THAT(outcome(), Optional(ElementsAre("p3: is down")));
}

TEST_F(ReloadWatchTest, ForPermissionsAloneReadingTheFileIsEnough) {
  watch_ = ReloadWatch("new", true, {{.name = "p1", .supervised = true, .present = true}}, now_);
  say("p1", {"new", 1, "takes a restart"});
  EXPECT_THAT(outcome(), Optional(IsEmpty()));
}

}  // namespace
}  // namespace canopy::broker
