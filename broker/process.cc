#include "broker/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace canopy::broker {
namespace {

constexpr int cannot_start = 127;

void complain(std::string_view text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

void limit_descriptors(rlim_t count) {
  const rlimit wanted{count, count};
  if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
    complain("canopy-broker: cannot set the limit of open files to nofile; it stays as it is\n");
  }
}

// Runs in the child between fork and exec: async-signal-safe calls only.
[[noreturn]] void become(const Program& program, char* const* arguments, char* const* environment,
                         pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(cannot_start);  // the parent died before PR_SET_PDEATHSIG
  setpgid(0, 0);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (const int null = open("/dev/null", O_RDONLY | O_CLOEXEC); null >= 0) dup2(null, STDIN_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  if (program.nofile > 0) limit_descriptors(program.nofile);
  execve(arguments[0], arguments, environment);
  complain("canopy-broker: cannot execute ");
  complain(arguments[0]);
  complain("\n");
  _exit(cannot_start);
}

// This process's environment without the variables that the service manager set for it alone.
std::vector<char*> environment_of_child() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!text.starts_with("NOTIFY_SOCKET=") && !text.starts_with("WATCHDOG_")) {
      variables.push_back(*variable);
    }
  }
  variables.push_back(nullptr);
  return variables;
}

}  // namespace

std::vector<Program> programs_of(const config::Cluster& cluster, const std::string& directory) {
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  };
  const auto command = [&](const std::string& role, const std::string& name) {
    return std::vector<std::string>{directory + "/canopy-" + role,
                                    "--config=" + absolute(cluster.file),
                                    "--name=" + name,
                                    "--state-dir=" + absolute(cluster.state_dir),
                                    "--log-level=" + cluster.log_level,
                                    "--log-format=" + cluster.log_format};
  };
  std::vector<Program> programs;
  for (const config::Shard& shard : cluster.shards) {
    programs.push_back({"shard", shard.name, command("shard", shard.name), shard.nofile});
  }
  for (const config::Proxy& proxy : cluster.proxies) {
    programs.push_back({"proxy", proxy.name, command("proxy", proxy.name), proxy.nofile});
  }
  return programs;
}

std::string own_directory() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : path.parent_path().string();
}

base::Result<pid_t> spawn(const Program& program) {
  const std::string& executable = program.command.front();
  if (::access(executable.c_str(), X_OK) != 0) {
    return base::Error{"cannot execute " + executable + ": " + std::strerror(errno)};
  }
  std::vector<char*> arguments;
  for (const std::string& argument : program.command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const std::vector<char*> environment = environment_of_child();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) become(program, arguments.data(), environment.data(), parent);
  if (child < 0) return base::Error{std::string("cannot fork: ") + std::strerror(errno)};
  return child;
}

}  // namespace canopy::broker
