// A child process that dies with its parent. Not thread-safe; the parent must be single-threaded
// when it forks.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace canopy::measure {

class Child {
 public:
  Child() = default;
  Child(Child&& other) noexcept { *this = std::move(other); }
  Child& operator=(Child&& other) noexcept;
  ~Child() { stop(std::chrono::milliseconds(0)); }

  // Runs `body` in a forked process called `name`, which exits with the result of `body`. The
  // kernel kills it when the parent dies.
  static base::Result<Child> fork(const std::string& name, const std::function<int()>& body);
  // Runs a program and appends its output to `log_file`. It gets TERM when the parent dies.
  static base::Result<Child> start(const std::vector<std::string>& arguments,
                                   const std::string& log_file);

  // 0 when there is no process.
  pid_t pid() const { return pid_; }
  bool running();
  // Sends TERM, and KILL after `grace`. Returns when the process has ended.
  void stop(std::chrono::milliseconds grace);

 private:
  pid_t pid_ = 0;
};

}  // namespace canopy::measure
