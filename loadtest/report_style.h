// The style of the HTML report and of its plots.
#pragma once

#include <string_view>

namespace canopy::loadtest {

inline constexpr std::string_view report_style = R"css(
:root {
  --ground: #f4f7f5; --panel: #fff; --text: #17211b; --quiet: #55625a; --edge: #d5ddd8; --track: #e4eae6;
  --good: #15803d; --bad: #c01c1c; --s0: #1d6fb8; --s1: #a84b06; --s2: #15803d; --s3: #7252c2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1411; --panel: #171f1b; --text: #e6ede8; --quiet: #9dada3; --edge: #2c3932; --track: #2a352f;
    --good: #4ade80; --bad: #f98080; --s0: #5cb2f5; --s1: #fbbf24; --s2: #4ade80; --s3: #b79dfc;
  }
}
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
.plot { display: block; width: 100%; height: auto; overflow: visible; }
.plot text { fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
.plot .title { fill: var(--text); font-size: 13px; font-weight: 650; }
.plot .name { fill: var(--text); font-size: 12px; }
.plot .tick { font-size: 11px; }
.plot .limit { fill: var(--bad); }
.plot path.limit { fill: none; stroke: var(--bad); stroke-dasharray: 6 4; }
.plot .grid { stroke: var(--edge); }
.plot .line { fill: none; stroke-width: 2; }
.s0 { fill: var(--s0); } .s0 .line { stroke: var(--s0); }
.s1 { fill: var(--s1); } .s1 .line { stroke: var(--s1); stroke-dasharray: 7 3; }
.s2 { fill: var(--s2); } .s2 .line { stroke: var(--s2); stroke-dasharray: 2 3; }
.s3 { fill: var(--s3); } .s3 .line { stroke: var(--s3); stroke-dasharray: 9 3 2 3; }
.plot .track { fill: var(--track); }
.plot .bar { fill: var(--s0); } .plot .bar.high { fill: var(--bad); }
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
