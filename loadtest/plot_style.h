// The colours of the HTML report and of plots, light and dark, and the style of plots.
#pragma once

#include <string_view>

namespace canopy::loadtest {

inline constexpr std::string_view plot_style = R"css(
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
.ground { fill: var(--panel); }
.plot { display: block; width: 100%; height: auto; overflow: visible; }
.plot text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
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
)css";

}  // namespace canopy::loadtest
