// Plots as SVG, whose colours are the variables of plot_style.h. Pure.
//
// A plot is 360 wide and scales with its page, so that its text is readable on a phone. Every point
// has its values as a title. Series differ by marker and dash, not by colour alone. Unknown values
// are left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::loadtest {

// Text for HTML and SVG, within elements and quoted attributes. Control characters are dropped.
std::string escape(std::string_view text);

// A number for people, with the digits that matter: 1,234,567 or 12.3 or 0.042.
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

// A horizontal line: a value that must not be exceeded.
struct Limit {
  std::string name{};
  double y = 0;
};

struct LinePlot {
  std::string title{};
  std::string x_name{};
  std::string y_name{};  // with its unit
  std::vector<Series> series{};
  bool logarithmic = false;  // the y axis; values of 0 and less are then left out
  std::optional<Limit> limit{};
};

// Number of colours; further series repeat them.
inline constexpr int series_colours = 4;

// With axes, grid and legend. "Nothing to show" in place of the lines when there is no point.
std::string to_svg(const LinePlot& plot);

// A standalone picture of the plots side by side, whose colours follow prefers-color-scheme.
std::string to_picture(const std::vector<LinePlot>& plots);

struct Bar {
  std::string name{};
  std::optional<double> value{};  // none: not known
  std::string text{};             // beside the bar
  std::optional<double> limit{};  // value of a full bar; none: the greatest value
};

struct BarPlot {
  std::string title{};
  std::string unit{};
  std::vector<Bar> bars{};
};

// A row for each bar: its name and text above, the bar below.
std::string to_svg(const BarPlot& plot);

}  // namespace canopy::loadtest
