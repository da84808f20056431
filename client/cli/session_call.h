// One call of a session, waited for on the calling thread, and what is printed when it fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/command_line.h"
#include "client/cli/session_loop.h"
#include "core/wire/write.h"

namespace canopy::client::cli {

// For one call only. `command` must outlive it.
class SessionCall final : private Events {
 public:
  explicit SessionCall(const Command& command);

  Answer write(std::vector<wire::Write> writes);
  Answer get();
  // `limit`: entries after which the proxy may stop; 0: none.
  Answer list(std::uint64_t limit = 0);

 private:
  Answer wait();
  void explain();

  void answered(CallId call, Answer answer) override;
  void contact(bool present) override;
  void changed(WatchId, const Change&) override {}
  void synced(WatchId, const Synced&) override {}
  void missed(WatchId, std::optional<std::uint64_t>) override {}
  void refused(WatchId, const Answer&) override {}

  const Command& command_;
  bool contact_ = false;
  bool sent_ = false;  // to some proxy
  std::optional<Answer> answer_;
  SessionLoop loop_;
};

bool writes(Action action);
// A refusal by the cluster is final; any other failure is no answer in time.
Exit exit_of(const Answer& answer);
// Prints why the call failed.
Exit fail(const Command& command, const Answer& answer);

}  // namespace canopy::client::cli
