// `canopy watch`: prints the events of one watch until a signal or a failure ends the program.
#pragma once

#include <optional>
#include <string>

#include "client/cli/command_line.h"
#include "client/cli/session_loop.h"

namespace canopy::client::cli {

class Watcher final : private Events {
 public:
  explicit Watcher(const Command& command);

  // Returns only after a failure. SIGINT and SIGTERM end the program with exit code 0.
  Exit run();

 private:
  void changed(WatchId watch, const Change& change) override;
  void synced(WatchId watch, const Synced& synced) override;
  void missed(WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(WatchId watch, const Answer& why) override;
  void contact(bool present) override;
  void answered(CallId, Answer) override {}

  void print_later(const std::string& line);
  void flush();
  void end(Exit exit, const std::string& why);
  void check_deadline();

  const Command& command_;
  std::string lines_;       // of this turn of the loop
  bool has_entry_ = false;  // at least one key was there
  bool synced_ = false;
  bool lost_ = false;
  base::TimePoint deadline_{};  // of the first sync
  std::optional<Exit> exit_;
  SessionLoop loop_;
};

}  // namespace canopy::client::cli
