#include "loadtest/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace canopy::loadtest {

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& activity, std::uint64_t done, std::uint64_t all) {
  if (!terminal_ || all == 0) return;
  constexpr std::uint64_t bar_width = 30;
  done = std::min(done, all);
  const std::string bar(static_cast<std::size_t>(bar_width * done / all), '#');
  auto line = fmt::format("\r\x1b[K{} {:<9} [{:<{}}] {:3} %", title_, activity, bar, bar_width,
                          100 * done / all);
  if (line == shown_) return;
  std::fputs(line.c_str(), stderr);
  shown_ = std::move(line);
}

void Progress::end() {
  if (terminal_) std::fputs("\r\x1b[K", stderr);
  shown_.clear();
}

}  // namespace canopy::loadtest
