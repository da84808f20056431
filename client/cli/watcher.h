// `canopy watch`: prints the events of one watch until somebody ends the program.
#pragma once

#include <optional>
#include <string>

#include "client/cli/command_line.h"
#include "client/cli/session_loop.h"

namespace canopy::client::cli {

class Watcher final : private Events {
 public:
  explicit Watcher(const Command& command);

  // Ends by itself only with a failure. SIGINT and SIGTERM end the program with exit code 0.
  Exit run();

 private:
  void changed(WatchId watch, const Change& change) override;
  void synced(WatchId watch, const Synced& synced) override;
  void missed(WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(WatchId watch, const Answer& why) override;
  void contact(bool present) override;
  void answered(CallId, Answer) override {}

  void say(const std::string& line);
  void flush();
  void end(Exit exit, const std::string& why);
  void check_deadline();

  const Command& command_;
  std::string lines_;      // told in this turn of the loop
  bool anything_ = false;  // told of any key
  bool synced_ = false;
  bool lost_ = false;
  base::TimePoint deadline_{};  // until the first sync, which nobody would wait for without end
  std::optional<Exit> exit_;
  SessionLoop loop_;
};

}  // namespace canopy::client::cli
