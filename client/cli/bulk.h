// The commands that write many keys, each with a request of its own: import, delete --subtree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "client/cli/command_line.h"
#include "client/cli/session_loop.h"
#include "core/wire/write.h"

namespace canopy::client::cli {

// Where the writes come from. `wait`: standard input has nothing to read yet.
enum class SourceState { write, wait, end };
using WriteSource = std::function<SourceState(wire::Write&)>;

// Sends the writes of a source, a bounded number of them at once. No write begins after one has
// failed. `command` must outlive it.
class BulkWriter final : private Events {
 public:
  static constexpr std::size_t max_under_way = 256;  // writes
  static constexpr std::size_t max_bytes = std::size_t{16} << 20;

  BulkWriter(const Command& command, WriteSource source);

  // Returns when every write that began is answered.
  void run();

  std::uint64_t written() const { return written_; }
  // Of the first write that failed: its number, from 1, its key and the answer.
  struct Failure {
    std::uint64_t number = 0;
    std::string key{};
    Answer answer{};
  };
  const std::optional<Failure>& failure() const { return failure_; }

 private:
  struct UnderWay {
    std::string key{};
    std::size_t bytes = 0;
  };

  void send_more();
  void answered(CallId call, Answer answer) override;
  void contact(bool present) override { contact_ = present; }
  void changed(WatchId, const Change&) override {}
  void synced(WatchId, const Synced&) override {}
  void missed(WatchId, std::optional<std::uint64_t>) override {}
  void refused(WatchId, const Answer&) override {}

  const Command& command_;
  const WriteSource source_;
  std::map<CallId, UnderWay> under_way_{};  // by number
  std::size_t bytes_ = 0;                   // of under_way_
  CallId last_ = 0;
  std::uint64_t written_ = 0;
  bool ended_ = false;    // the source
  bool waiting_ = false;  // for standard input
  bool contact_ = false;
  std::optional<Failure> failure_{};
  SessionLoop loop_;
};

Exit import_entries(const Command& command);
// The keys that are there when it begins. A key that is created meanwhile stays.
Exit delete_subtree(const Command& command);

}  // namespace canopy::client::cli
