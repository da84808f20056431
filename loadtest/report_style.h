// The style of the HTML report beside that of its plots (plot_style.h).
#pragma once

#include <string_view>

namespace canopy::loadtest {

inline constexpr std::string_view report_style = R"css(
* { box-sizing: border-box; }
body {
  max-width: 1240px; margin: 0 auto; padding: 0 20px 32px; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
h1 { margin: 20px 0 0; font-size: 22px; }
h2 { margin: 28px 0 10px; font-size: 17px; }
h2::first-letter { text-transform: uppercase; }
p { margin: 4px 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: 13px; }
.verdict { margin: 12px 0 4px; font-size: 18px; }
.pass { color: var(--good); } .fail { color: var(--bad); }
.panel { padding: 14px; background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); gap: 14px; align-items: start; }
.scroll { overflow-x: auto; padding: 4px 6px; }
table { width: 100%; border-spacing: 0; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 8px; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--quiet); font-size: 13px; }
tbody th, tbody td { border-top: 1px solid var(--edge); }
details { margin-bottom: 10px; }
details p { font-size: 14px; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 760px) {
  body { padding: 0 12px 24px; }
  /* A row becomes a card: each figure under its own heading. */
  table, tbody { display: block; }
  thead { display: none; }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 8px 10px; padding: 10px 8px; }
  tr + tr { border-top: 1px solid var(--edge); }
  tbody th, tbody td { display: block; padding: 0; border: 0; text-align: left; white-space: normal; }
  tbody th { grid-column: 1 / -1; font-size: 15px; }
  td::before { content: attr(data-label); display: block; font-size: 12px; color: var(--quiet); overflow-wrap: anywhere; }
}
)css";

}  // namespace canopy::loadtest
