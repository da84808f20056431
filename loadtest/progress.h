// What the step under way is doing: a bar on a terminal, nothing elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace canopy::loadtest {

class Progress {
 public:
  // On stderr, when that is a terminal.
  Progress();

  void begin(std::string title) { title_ = std::move(title); }
  void show(const std::string& activity, std::uint64_t done, std::uint64_t all);
  // Wipes the bar.
  void end();

 private:
  bool terminal_;
  std::string title_;
  std::string shown_;
};

}  // namespace canopy::loadtest
