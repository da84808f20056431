// A session with its loop and sockets, run on the calling thread. Events may call stop() only.
#pragma once

#include <string>

#include "client/cli/cluster.h"
#include "client/session.h"
#include "client/sockets.h"
#include "core/base/clock.h"
#include "core/net/loop.h"

namespace canopy::client::cli {

class SessionLoop {
 public:
  // `cluster` as parse_command_line() returns it.
  SessionLoop(Cluster cluster, Events& events);

  // Calls and watches: before run(), or from a timer or the turn's end.
  Session& session() { return session_; }
  net::Loop& loop() { return loop_; }

  void run();
  void stop() { loop_.stop(); }

  // Names the process that does not answer. May take half a second.
  std::string standstill() const;

 private:
  const Cluster cluster_;
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  Sockets sockets_;
  Session session_;
};

}  // namespace canopy::client::cli
