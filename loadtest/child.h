// A child process that dies with its parent. Not thread-safe; the parent must be single-threaded
// when it forks.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace canopy::loadtest {

class Child {
 public:
  Child() = default;
  Child(Child&& other) noexcept { *this = std::move(other); }
  Child& operator=(Child&& other) noexcept;
  ~Child() { stop(std::chrono::milliseconds(0)); }

  // Runs `body` in a copy of this process, called `name`, which exits with what it returns; killed
  // when the parent dies.
  static base::Result<Child> fork(const std::string& name, const std::function<int()>& body);
  // Runs a program, its output appended to `log_file`; asked to stop when the parent dies.
  static base::Result<Child> start(const std::vector<std::string>& arguments,
                                   const std::string& log_file);

  // 0: none.
  pid_t pid() const { return pid_; }
  bool running();
  // TERM, and KILL when it has not gone after `grace`. Waits until it is gone.
  void stop(std::chrono::milliseconds grace);

 private:
  pid_t pid_ = 0;
};

}  // namespace canopy::loadtest
