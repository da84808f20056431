#include "client/runner.h"

#include <signal.h>

namespace canopy::client {

Runner::Runner(Settings settings, const std::optional<access::ClientKeys>& keys, Events& events)
    : sockets_(server_, session_, keys), session_(std::move(settings), sockets_, events) {
  // Signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    sockets_.start();
    loop_.run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool Runner::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  loop_.post([this, task = std::move(task)] { task(session_, loop_.now()); });
  return true;
}

void Runner::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;  // nothing is posted after this
    loop_.post([this] {
      session_.close();
      loop_.stop();
    });
  }
  thread_.join();
}

}  // namespace canopy::client
