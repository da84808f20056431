#include "loadtest/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

using testing::HasSubstr;
using testing::Not;

StepResult step(const std::string& target, int clients, bool native = false) {
  StepResult made{.target = target,
                  .native = native,
                  .clients = clients,
                  .served = static_cast<std::uint64_t>(clients)};
  made.totals.converged = static_cast<std::uint64_t>(clients);
  made.totals.window_s = 10;
  made.totals.window_sent = 500;
  made.totals.window_delivered = 50'000;
  for (int us = 1000; us <= 3000; ++us) made.totals.latency.record(us);
  made.processes = {{.role = "proxy",
                     .name = "p1",
                     .pid = 5,
                     .cpu_percent = 31.4,
                     .open_descriptors = 790,
                     .max_descriptors = 1024},
                    {.role = "shard", .name = "rest", .pid = 7}};
  return made;
}

std::string html(const std::vector<StepResult>& steps, const Options& options = {}) {
  return to_html(options, steps, evaluate(steps), "2026-01-02 03:04 UTC");
}

TEST(Html, IsOnePageWithoutRequests) {
  const std::string page = html({step("cluster", 100)});
  EXPECT_THAT(page, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, HasSubstr("2026-01-02 03:04 UTC"));
  EXPECT_THAT(page, HasSubstr("PASS"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http:")));
  EXPECT_THAT(page, Not(HasSubstr("https:")));
}

TEST(Html, ASingleRunHasBarsAndNoRamp) {
  const std::string page = html({step("cluster", 100)});
  EXPECT_THAT(page, HasSubstr("cluster at 100 clients"));
  EXPECT_THAT(page, HasSubstr("790 of 1,024"));
  EXPECT_THAT(page, HasSubstr("rest: not known"));
  EXPECT_THAT(page, Not(HasSubstr("The ramp")));
}

TEST(Html, ARampComparesTheTargets) {
  Options options;
  options.compare = true;
  const std::string page =
      html({step("baseline", 300), step("baseline", 400), step("cluster", 100),
            step("cluster", 1000), step("native", 100, true), step("native", 1000, true)},
           options);
  EXPECT_THAT(page, HasSubstr("The ramp"));
  for (const char* name : {"baseline", "cluster", "native"}) {
    EXPECT_THAT(page, HasSubstr(std::string("Latency, ") + name));
    EXPECT_THAT(page, HasSubstr(std::string(name) + ", "));
  }
  EXPECT_THAT(page, HasSubstr("native at 1,000 clients"));
}

TEST(Html, ShowsWhyItFails) {
  auto broken = step("cluster", 100);
  broken.served = 98;
  const std::string page = html({broken});
  EXPECT_THAT(page, HasSubstr("FAIL"));
  EXPECT_THAT(page, HasSubstr("2 not served"));
}

TEST(Html, NamesAreText) {
  auto hostile = step("<img src=x>", 100);
  hostile.processes[0].name = "\"><script>alert(1)</script>";
  Options options;
  options.subtree = "/<b>/";
  const std::string page = html({hostile, hostile}, options);
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("/<b>/")));
}

TEST(Svg, StandsAlone) {
  const std::string svg = to_svg({step("baseline", 300), step("cluster", 1000),
                                  step("native", 1000, true), step("x<y", 1000)});
  EXPECT_THAT(svg, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(svg, HasSubstr(">plain Clone server<"));
  EXPECT_THAT(svg, HasSubstr(">Canopy<"));
  EXPECT_THAT(svg, HasSubstr(">1,000<"));
  EXPECT_THAT(svg, Not(HasSubstr(">native<"))) << "equal to Canopy's line";
  EXPECT_THAT(svg, Not(HasSubstr("x<y")));
}

TEST(Html, NothingRan) { EXPECT_THAT(html({}), HasSubstr("</html>")); }

}  // namespace
}  // namespace canopy::loadtest
