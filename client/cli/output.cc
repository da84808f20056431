#include "client/cli/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace canopy::client::cli {

void reserve_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // takes the lowest number: fd
  }
}

void end_on_sigpipe() {
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

base::Status print(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::Error{std::string("standard output: ") + std::strerror(errno)};
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

bool prints_to_terminal() { return isatty(STDOUT_FILENO) == 1; }

bool can_lose_reader() {
  struct stat status {};
  if (fstat(STDOUT_FILENO, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || prints_to_terminal();
}

void complain(std::string_view text) {
  std::fprintf(stderr, "canopy: %.*s\n", static_cast<int>(text.size()), text.data());
}

Exit fail(Exit exit, std::string_view why) {
  complain(why);
  return exit;
}

Exit print_result(std::string_view text) {
  const auto status = print(text);
  return status ? Exit::ok : fail(Exit::broken, status.error());
}

base::Result<std::string> read_input(std::size_t limit) {
  std::string input;
  for (std::string block(std::size_t{64} << 10, '\0'); input.size() <= limit;) {
    const ssize_t count = read(STDIN_FILENO, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::Error{std::string("standard input: ") + std::strerror(errno)};
    if (count == 0) break;
    input.append(block, 0, static_cast<std::size_t>(count));
  }
  return input;
}

}  // namespace canopy::client::cli
