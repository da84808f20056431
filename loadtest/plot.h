// Numbers as a picture: inline SVG that takes its colours from the page around it. Pure.
//
// A plot is drawn for a width of 360 and scales with its place, so that its letters are readable
// from a phone on. Every point tells its values as a title, and series differ by marker and dash,
// not by colour alone. A value that is unknown is left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::loadtest {

// Text for HTML and SVG, within elements and quoted attributes. Control characters are dropped.
std::string escape(std::string_view text);

// A number as people write it, with as many digits as matter: 1,234,567 or 12.3 or 0.042.
std::string figure(double value);

struct Point {
  double x = 0;
  double y = 0;
  std::string title{};  // shown beside the point; empty: its values
};

struct Series {
  std::string name{};
  std::vector<Point> points{};  // by x
};

// A horizontal line: what must not be exceeded.
struct Limit {
  std::string name{};
  double y = 0;
};

struct LinePlot {
  std::string title{};
  std::string x_name{};
  std::string y_name{};  // with its unit
  std::vector<Series> series{};
  bool logarithmic = false;  // the y axis; values of 0 and less are left out then
  std::optional<Limit> limit{};
};

// At most this many series have colours of their own; further ones repeat them.
inline constexpr int series_colours = 4;

// With axes, grid and legend. "Nothing to show" in place of the lines when there is no point.
std::string to_svg(const LinePlot& plot);

struct Bar {
  std::string name{};
  std::optional<double> value{};  // none: not known
  std::string text{};             // beside the bar
  std::optional<double> limit{};  // that the whole track stands for; none: the greatest value
};

struct BarPlot {
  std::string title{};
  std::string unit{};
  std::vector<Bar> bars{};
};

// A row for each bar: its name and text above, the bar below.
std::string to_svg(const BarPlot& plot);

}  // namespace canopy::loadtest
