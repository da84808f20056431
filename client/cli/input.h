// Standard input, line by line. Empty lines are skipped. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace canopy::client::cli {

class LineReader {
 public:
  enum class State { line, wait, end };

  // Without waiting; `wait`: nothing is there to read yet. `line` lacks its line feed.
  State read(std::string& line);
  // Waits for a line. False at the end of the input.
  bool wait_and_read(std::string& line);

  // Of the line read last; the first one is 1.
  std::uint64_t line_number() const { return line_number_; }
  // Why the input ended early; else empty.
  const std::string& error() const { return error_; }

 private:
  bool next_line(std::string& line);
  void fill();

  std::string buffer_{};
  std::size_t at_ = 0;  // of the next line in buffer_
  std::uint64_t line_number_ = 0;
  bool ended_ = false;
  std::string error_{};
};

}  // namespace canopy::client::cli
