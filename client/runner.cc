#include "client/runner.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>

namespace canopy::client {
Runner::Runner(Settings settings, const std::optional<net::CurveClient>& keys, Events& events)
    : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      sockets_(context_, loop_, session_, keys),
      session_(std::move(settings), sockets_, events) {
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  loop_.on_readable(wake_fd_, [this] { run_tasks(); });
  start_thread();
}

Runner::~Runner() {
  stop();
  ::close(wake_fd_);
}

// Signals are for the program's own threads.
void Runner::start_thread() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool Runner::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1) eventfd_write(wake_fd_, 1);
  return true;
}

void Runner::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;  // nothing is posted after this
    tasks_.emplace_back([this](Session& session, base::TimePoint) {
      session.close();
      loop_.stop();
    });
    eventfd_write(wake_fd_, 1);
  }
  thread_.join();
}

void Runner::run() {
  sockets_.start();
  loop_.run();
}

void Runner::run_tasks() {
  eventfd_t count = 0;
  eventfd_read(wake_fd_, &count);
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const Task& task : tasks) task(session_, loop_.now());
}

}  // namespace canopy::client
