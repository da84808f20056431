// A progress bar on stderr, when stderr is a terminal. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace canopy::loadtest {

class Progress {
 public:
  Progress();

  void begin(std::string title) { title_ = std::move(title); }
  void show(const std::string& activity, std::uint64_t done, std::uint64_t all);
  // Clears the bar.
  void end();

 private:
  bool terminal_;
  std::string title_;
  std::string shown_;
};

}  // namespace canopy::loadtest
