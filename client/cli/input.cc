#include "client/cli/input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/cli/write_lines.h"

namespace canopy::client::cli {
namespace {

constexpr std::size_t block_bytes = std::size_t{64} << 10;

// A regular file is always readable to poll(2), which epoll(7) does not accept.
bool is_readable(int timeout_ms) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&input, 1, timeout_ms) > 0;
}

}  // namespace

LineReader::State LineReader::read(std::string& line) {
  while (!next_line(line)) {
    if (ended_) return State::end;
    if (!is_readable(0)) return State::wait;
    fill();
  }
  return State::line;
}

bool LineReader::wait_and_read(std::string& line) {
  State state = read(line);
  while (state == State::wait) {
    is_readable(-1);
    state = read(line);
  }
  return state == State::line;
}

bool LineReader::next_line(std::string& line) {
  while (at_ < buffer_.size()) {
    std::size_t end = buffer_.find('\n', at_);
    // A line that is too long is cut: no parser accepts it then.
    const bool too_long = buffer_.size() - at_ > max_line_bytes;
    if (end == std::string::npos && !ended_ && !too_long) return false;
    if (end == std::string::npos) end = buffer_.size();
    ++line_number_;
    line.assign(buffer_, at_, end - at_);
    at_ = end + 1;
    if (!line.empty()) return true;
  }
  return false;
}

void LineReader::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  const std::size_t size = buffer_.size();
  buffer_.resize(size + block_bytes);
  const ssize_t count = ::read(STDIN_FILENO, buffer_.data() + size, block_bytes);
  const int code = errno;
  buffer_.resize(size + static_cast<std::size_t>(count > 0 ? count : 0));
  if (count > 0 || (count < 0 && (code == EINTR || code == EAGAIN))) return;
  ended_ = true;
  if (count == 0) return;
  buffer_.clear();
  error_ = std::string("standard input: ") + std::strerror(code);
}

}  // namespace canopy::client::cli
