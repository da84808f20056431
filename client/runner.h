// Runs a session on a thread of its own.
//
// post(), stop() and on_thread() may be called from any thread. Events come on the runner's
// thread.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "client/session.h"
#include "client/sockets.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/loop.h"

namespace canopy::client {

class Runner {
 public:
  using Task = std::function<void(Session& session, base::TimePoint now)>;

  // Starts the thread. `keys` as for Sockets; `events` outlives stop(). `log` gets what the thread
  // logs, instead of stderr.
  Runner(Settings settings, const std::optional<access::ClientKeys>& keys, Events& events,
         base::log::Sink log = {});
  ~Runner() { stop(); }

  // The task is run on the thread, in the order of these calls. False once stopped.
  bool post(Task task);
  // Runs what was posted, closes the session and ends the thread. Not from the thread itself.
  void stop();
  bool on_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  std::mutex mutex_;  // guards stopped_
  bool stopped_ = false;

  // Only the thread uses these.
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  Sockets sockets_;
  Session session_;

  std::thread thread_;
};

}  // namespace canopy::client
