#include "loadtest/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "loadtest/plot_style.h"

namespace canopy::loadtest {
namespace {

constexpr double width = 360;
constexpr double left = 52, right = 14, top = 30;  // margins of the field
constexpr double field_height = 168;
constexpr double field_width = width - left - right;
constexpr double axis_height = 38;  // below the field: numbers and name
constexpr double legend_row = 18;

std::string text(double x, double y, std::string_view kind, std::string_view anchor,
                 std::string_view words) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>)", x, y,
                     kind, anchor, escape(words));
}

std::string open_svg(double height, std::string_view title) {
  return fmt::format(R"(<svg class="plot" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">)",
                     width, height, escape(title)) +
         text(0, 14, "title", "start", title);
}

// Where a value lies on an axis: from 0 at its least to 1 at its greatest.
struct Axis {
  double least = 0;
  double greatest = 1;
  bool logarithmic = false;
  std::vector<double> ticks{};

  double place(double value) const {
    if (!logarithmic) return (value - least) / (greatest - least);
    return std::log10(value / least) / std::log10(greatest / least);
  }
};

// The smallest of 1, 2, 5 times a power of ten that is no less than `value`.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= value * (1 - 1e-9)) return step * power;
  }
  return 10 * power;
}

Axis linear_axis(double least, double greatest) {
  const double step = round_up(std::max(greatest - least, 1e-9) / 5);
  Axis axis{.least = std::floor(least / step) * step, .greatest = least};
  for (int i = 0; axis.greatest < greatest * (1 - 1e-9) || i < 2; ++i) {
    axis.greatest = axis.least + i * step;
    axis.ticks.push_back(axis.greatest);
  }
  return axis;
}

Axis logarithmic_axis(double least, double greatest) {
  Axis axis{.least = std::pow(10, std::floor(std::log10(least))),
            .greatest = std::pow(10, std::ceil(std::log10(greatest))),
            .logarithmic = true};
  if (axis.greatest <= axis.least) axis.greatest = axis.least * 10;
  for (double tick = axis.least; tick <= axis.greatest * (1 + 1e-9); tick *= 10) {
    axis.ticks.push_back(tick);
  }
  return axis;
}

// The points that can be drawn.
std::vector<Series> drawable(const LinePlot& plot) {
  std::vector<Series> all = plot.series;
  for (Series& series : all) {
    std::erase_if(series.points, [&](const Point& point) {
      return !std::isfinite(point.x) || !std::isfinite(point.y) || point.y < 0 ||
             (plot.logarithmic && point.y <= 0);
    });
  }
  return all;
}

struct Bounds {
  double least_x = std::numeric_limits<double>::max(), greatest_x = 0;
  double least_y = std::numeric_limits<double>::max(), greatest_y = 0;
};

Bounds bounds_of(const std::vector<Series>& all) {
  Bounds bounds;
  for (const Series& series : all) {
    for (const Point& point : series.points) {
      bounds.least_x = std::min(bounds.least_x, point.x);
      bounds.greatest_x = std::max(bounds.greatest_x, point.x);
      bounds.least_y = std::min(bounds.least_y, point.y);
      bounds.greatest_y = std::max(bounds.greatest_y, point.y);
    }
  }
  return bounds;
}

std::string marker(int colour, double x, double y) {
  switch (colour) {
    case 0: return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3.5"/>)", x, y);
    case 1:
      return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="6.6" height="6.6"/>)", x - 3.3,
                         y - 3.3);
    case 2: return fmt::format(R"(<path d="M{:.1f} {:.1f}l4.3 7.4h-8.6z"/>)", x, y - 4.6);
    default:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6z"/>)", x, y - 4.6);
  }
}

class LineField {
 public:
  LineField(const LinePlot& plot, const Axis& x, const Axis& y) : plot_(plot), x_(x), y_(y) {}

  std::string grid() const {
    std::string svg;
    for (const double tick : y_.ticks) {
      const double at = y(tick);
      svg += fmt::format(R"(<path class="grid" d="M{} {:.1f}H{}"/>)", left, at, width - right) +
             text(left - 6, at + 4, "tick", "end", figure(tick));
    }
    for (const double tick : x_.ticks) {
      svg += fmt::format(R"(<path class="grid" d="M{:.1f} {}v{}"/>)", x(tick), top, field_height) +
             text(x(tick), top + field_height + 15, "tick", "middle", figure(tick));
    }
    return svg +
           text(left + field_width / 2, top + field_height + 31, "axis", "middle", plot_.x_name) +
           text(width - right, 14, "axis", "end", plot_.y_name);
  }

  std::string limit() const {
    if (!plot_.limit) return "";
    const double at = y(plot_.limit->y);
    return fmt::format(R"(<path class="limit" d="M{} {:.1f}H{}"/>)", left, at, width - right) +
           text(left + 4, at + 13, "limit", "start", plot_.limit->name);
  }

  std::string line(const Series& series, int colour) const {
    std::string path;
    std::string points;
    for (const Point& point : series.points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.x), y(point.y));
      const std::string title = point.title.empty() ? figure(point.y) : point.title;
      points += fmt::format(
          "<g><title>{}</title>{}</g>",
          escape(fmt::format("{}, {} {}: {}", series.name, figure(point.x), plot_.x_name, title)),
          marker(colour, x(point.x), y(point.y)));
    }
    return fmt::format(R"(<g class="series s{}"><path class="line" d="{}"/>{}</g>)", colour, path,
                       points);
  }

 private:
  double x(double value) const { return left + field_width * x_.place(value); }
  double y(double value) const { return top + field_height * (1 - y_.place(value)); }

  const LinePlot& plot_;
  const Axis& x_;
  const Axis& y_;
};

constexpr double legend_top = top + field_height + axis_height + legend_row / 2;

double height_of(const LinePlot& plot) {
  const std::size_t legend_rows = (plot.series.size() + 1) / 2;
  return legend_top + legend_row * static_cast<double>(legend_rows) - legend_row / 2 + 4;
}

// Two names in each row.
std::string legend(const std::vector<Series>& all, double y) {
  std::string svg;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int colour = static_cast<int>(i) % series_colours;
    const double at_x = left + field_width / 2 * static_cast<double>(i % 2);
    const std::size_t above = i / 2;
    const double at_y = y + legend_row * static_cast<double>(above);
    svg += fmt::format(R"(<g class="series s{}"><path class="line" d="M{:.1f} {:.1f}h22"/>{}</g>)",
                       colour, at_x, at_y, marker(colour, at_x + 11, at_y)) +
           text(at_x + 28, at_y + 4, "name", "start", all[i].name);
  }
  return svg;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string safe;
  for (const char each : text) {
    switch (each) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(each) >= ' ' && each != '\x7f') safe += each;
    }
  }
  return safe;
}

std::string figure(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size > 0 && size < 100 && value != std::round(value)) {
    return fmt::format("{:.{}f}", value, size < 0.1 ? 3 : size < 1 ? 2 : 1);
  }
  std::string digits = fmt::format("{:.0f}", size);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return (value < 0 && digits != "0" ? "-" : "") + digits;
}

std::string to_svg(const LinePlot& plot) {
  const std::vector<Series> all = drawable(plot);
  std::string svg = open_svg(height_of(plot), plot.title);
  Bounds bounds = bounds_of(all);
  if (bounds.greatest_x == 0 && bounds.greatest_y == 0) {
    return svg + text(width / 2, top + field_height / 2, "name", "middle", "Nothing to show") +
           "</svg>";
  }
  if (plot.limit) bounds.greatest_y = std::max(bounds.greatest_y, plot.limit->y);
  const Axis x = linear_axis(0, bounds.greatest_x);
  const Axis y = plot.logarithmic ? logarithmic_axis(bounds.least_y, bounds.greatest_y)
                                  : linear_axis(0, bounds.greatest_y);
  const LineField field(plot, x, y);
  svg += field.grid();
  for (std::size_t i = 0; i < all.size(); ++i) {
    svg += field.line(all[i], static_cast<int>(i) % series_colours);
  }
  return svg + field.limit() + legend(all, legend_top) + "</svg>";
}

std::string to_picture(const std::vector<LinePlot>& plots) {
  constexpr double margin = 14, pitch = width + 2 * margin;
  std::string svg;
  double height = 0;
  for (std::size_t i = 0; i < plots.size(); ++i) {
    const double plot_height = height_of(plots[i]);
    svg += fmt::format(
               R"(<svg x="{:.0f}" y="{:.0f}" width="{:.0f}" height="{:.0f}" overflow="visible">)",
               margin + pitch * static_cast<double>(i), margin, width, plot_height) +
           to_svg(plots[i]) + "</svg>";
    height = std::max(height, plot_height + 2 * margin);
  }
  const double whole = pitch * static_cast<double>(plots.size());
  return fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" )"
                     R"(width="{0:.0f}" height="{1:.0f}"><style>{2}</style>)"
                     R"(<rect class="ground" width="100%" height="100%" rx="10"/>)",
                     whole, height, plot_style) +
         svg + "</svg>\n";
}

std::string to_svg(const BarPlot& plot) {
  constexpr double row = 36, track = 10;
  double greatest = 0;
  for (const Bar& bar : plot.bars) {
    if (!bar.limit) greatest = std::max(greatest, bar.value.value_or(0));
  }
  std::string svg = open_svg(top + row * static_cast<double>(plot.bars.size()), plot.title) +
                    text(width, 14, "axis", "end", plot.unit);
  double y = top;
  for (const Bar& bar : plot.bars) {
    const double whole = bar.limit.value_or(greatest);
    const double share = whole > 0 ? std::clamp(bar.value.value_or(0) / whole, 0.0, 1.0) : 0;
    const std::string words = bar.text.empty() && bar.value ? figure(*bar.value) : bar.text;
    svg += fmt::format("<g><title>{}</title>", escape(bar.name + ": " + words)) +
           text(0, y + 10, "name", "start", bar.name) + text(width, y + 10, "tick", "end", words) +
           fmt::format(R"(<rect class="track" x="0" y="{:.1f}" width="{}" height="{}" rx="3"/>)",
                       y + 16, width, track);
    if (share > 0) {
      svg +=
          fmt::format(R"(<rect class="bar{}" x="0" y="{:.1f}" width="{:.1f}" height="{}" rx="3"/>)",
                      bar.limit && share > 0.9 ? " high" : "", y + 16, width * share, track);
    }
    svg += "</g>";
    y += row;
  }
  return svg + "</svg>";
}

}  // namespace canopy::loadtest
