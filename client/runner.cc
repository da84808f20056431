#include "client/runner.h"

#include "client/threads.h"

namespace canopy::client {

Runner::Runner(Settings settings, const std::optional<access::ClientKeys>& keys, Events& events,
               base::log::Sink log)
    : sockets_(server_, session_, keys), session_(std::move(settings), sockets_, events) {
  thread_ = start_thread([this, log = std::move(log)] {
    base::log::set_thread_sink(log);
    sockets_.start();
    loop_.run();
  });
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
