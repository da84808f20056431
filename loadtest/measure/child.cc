#include "loadtest/measure/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

namespace canopy::measure {
namespace {

base::Result<pid_t> fork_child(int signal_at_parents_death) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return base::Error{std::string("cannot start a process: ") + std::strerror(errno)};
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, signal_at_parents_death);
    if (getppid() != parent) _exit(1);
    std::signal(SIGINT, SIG_IGN);  // Ctrl-C reaches the parent, which stops its children
    std::signal(SIGTERM, SIG_DFL);
  }
  return pid;
}

}  // namespace

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

base::Result<Child> Child::fork(const std::string& name, const std::function<int()>& body) {
  const auto pid = fork_child(SIGKILL);
  if (!pid) return base::Error{pid.error()};
  if (*pid == 0) {
    prctl(PR_SET_NAME, name.c_str());
    int status = 1;
    try {
      status = body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "canopy-loadtest: %s: %s\n", name.c_str(), error.what());
    }
    _exit(status);
  }
  Child child;
  child.pid_ = *pid;
  return child;
}

base::Result<Child> Child::start(const std::vector<std::string>& arguments,
                                 const std::string& log_file) {
  const auto pid = fork_child(SIGTERM);
  if (!pid) return base::Error{pid.error()};
  if (*pid == 0) {
    const int log = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    std::vector<char*> argv;
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    std::fprintf(stderr, "cannot run %s: %s\n", argv[0], std::strerror(errno));
    _exit(127);
  }
  Child child;
  child.pid_ = *pid;
  return child;
}

bool Child::running() {
  if (pid_ == 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = 0;
  return false;
}

void Child::stop(std::chrono::milliseconds grace) {
  if (!running()) return;
  kill(pid_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + grace;
  while (running() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

}  // namespace canopy::measure
