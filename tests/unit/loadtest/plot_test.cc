#include "loadtest/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

namespace canopy::loadtest {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// Every number of an attribute such as cy="…", in order.
std::vector<double> numbers(const std::string& svg, const std::string& attribute) {
  std::vector<double> all;
  const std::regex pattern(" " + attribute + "=\"([-0-9.]+)\"");
  for (std::sregex_iterator at(svg.begin(), svg.end(), pattern), end; at != end; ++at) {
    all.push_back(std::stod((*at)[1]));
  }
  return all;
}

TEST(Escape, LeavesNoMarkup) {
  EXPECT_EQ(escape("<b a=\"x\" c='y'>&</b>"),
            "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;&lt;/b&gt;");
  EXPECT_EQ(escape(std::string_view("a\0b\x1b\n\x7f", 6)), "ab");
  EXPECT_EQ(escape("grün 東"), "grün 東");
}

TEST(Figure, HasTheDigitsThatMatter) {
  EXPECT_EQ(figure(0), "0");
  EXPECT_EQ(figure(0.0421), "0.042");
  EXPECT_EQ(figure(0.5), "0.50");
  EXPECT_EQ(figure(12.34), "12.3");
  EXPECT_EQ(figure(100.4), "100");
  EXPECT_EQ(figure(999.6), "1,000");
  EXPECT_EQ(figure(1234567), "1,234,567");
  EXPECT_EQ(figure(-1234), "-1,234");
  EXPECT_EQ(figure(std::numeric_limits<double>::infinity()), "-");
}

LinePlot plot() {
  return {.title = "Throughput",
          .x_name = "clients",
          .y_name = "deliveries/s",
          .series = {{.name = "cluster", .points = {{100, 5000}, {400, 80'000}, {1000, 500'000}}}}};
}

TEST(LinePlot, HasAxesUnitsLegendAndAMarkerAPoint) {
  const std::string svg = to_svg(plot());
  EXPECT_THAT(svg, HasSubstr(">clients<"));
  EXPECT_THAT(svg, HasSubstr(">deliveries/s<"));
  EXPECT_THAT(svg, HasSubstr(">500,000<"));
  EXPECT_EQ(count(svg, ">cluster<"), 1u);
  EXPECT_THAT(svg, HasSubstr("<title>cluster, 400 clients: 80,000</title>"));
  EXPECT_EQ(count(svg, "<circle"), 3u + 1u);  // and the legend's
  EXPECT_EQ(count(svg, "<svg"), count(svg, "</svg>"));
}

TEST(LinePlot, GreaterIsHigherAndFurtherRight) {
  const std::string svg = to_svg(plot());
  const auto x = numbers(svg, "cx");
  const auto y = numbers(svg, "cy");
  ASSERT_EQ(x.size(), 4u);
  EXPECT_LT(x[0], x[1]);
  EXPECT_LT(x[1], x[2]);
  EXPECT_GT(y[0], y[1]);
  EXPECT_GT(y[1], y[2]);
  for (const double each : x) EXPECT_TRUE(each >= 0 && each <= 360) << each;
  for (const double each : y) EXPECT_GE(each, 0);
}

TEST(LinePlot, ALogarithmicAxisSpacesDecadesEvenly) {
  auto latency = plot();
  latency.logarithmic = true;
  latency.series[0].points = {{1, 1}, {2, 10}, {3, 100}, {4, 0}};  // 0 has no place on it
  const auto y = numbers(to_svg(latency), "cy");
  ASSERT_EQ(y.size(), 3u + 1u);
  EXPECT_NEAR(y[0] - y[1], y[1] - y[2], 0.2);
}

TEST(LinePlot, TheLimitIsWithinTheField) {
  auto descriptors = plot();
  descriptors.series[0].points = {{100, 20}, {200, 30}};
  descriptors.limit = Limit{.name = "limit", .y = 100};
  const std::string svg = to_svg(descriptors);
  EXPECT_THAT(svg, HasSubstr("class=\"limit\""));
  EXPECT_THAT(svg, HasSubstr(">100<"));
}

TEST(LinePlot, StrangeValuesAreLeftOut) {
  auto strange = plot();
  strange.series[0].points = {{100, std::numeric_limits<double>::quiet_NaN()},
                              {200, std::numeric_limits<double>::infinity()},
                              {300, -1}};
  EXPECT_THAT(to_svg(strange), HasSubstr("Nothing to show"));
  strange.series.clear();
  EXPECT_THAT(to_svg(strange), HasSubstr("Nothing to show"));
  strange.series = {{.name = "flat", .points = {{100, 0}}}};
  EXPECT_THAT(to_svg(strange), Not(HasSubstr("nan")));
  strange.series = {{.name = "tiny", .points = {{1, 1e-12}, {1e9, 1e12}}}};
  EXPECT_THAT(to_svg(strange), Not(HasSubstr("inf")));
}

TEST(LinePlot, NamesAreText) {
  auto hostile = plot();
  hostile.title = hostile.x_name = hostile.series[0].name = "<script>\"&";
  hostile.series[0].points[0].title = "</title><script>";
  EXPECT_THAT(to_svg(hostile), Not(HasSubstr("<script")));
}

TEST(BarPlot, BarsKeepTheirProportionsAndLimits) {
  const std::string svg = to_svg(BarPlot{.title = "Descriptors",
                                         .unit = "",
                                         .bars = {{.name = "p1", .value = 512, .limit = 1024},
                                                  {.name = "p2", .value = 1000, .limit = 1024},
                                                  {.name = "<far>", .text = "not known"}}});
  EXPECT_THAT(numbers(svg, "width"),
              testing::ElementsAre(360, 180, 360, testing::DoubleNear(351.6, 0.1), 360));
  EXPECT_EQ(count(svg, "class=\"bar high\""), 1u);
  EXPECT_THAT(svg, HasSubstr("&lt;far&gt;: not known"));
}

TEST(BarPlot, NothingAtAll) {
  EXPECT_THAT(to_svg(BarPlot{.title = "CPU"}), HasSubstr("</svg>"));
  EXPECT_THAT(to_svg(BarPlot{.title = "CPU", .bars = {{.name = "p", .value = 0}}}),
              Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace canopy::loadtest
