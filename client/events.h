// The events that a session reports to its user. They come on the session's thread, from inside a
// call of the session; a handler must not call the session. Views live until the handler returns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/keyspace/revision.h"
#include "core/wire/fault.h"

namespace canopy::client {

// Chosen by the user of a session, unique within it.
using WatchId = std::uint64_t;
using CallId = std::uint64_t;

// One key of a watched subtree has another value, or none.
struct Change {
  std::string_view key{};
  std::string_view value{};  // empty when deleted
  std::string_view properties{};
  keyspace::Revision revision{};   // of a deletion found by a resync: a bound from above
  std::int64_t expires_at_ms = 0;  // since the Unix epoch; 0: never
  bool deleted = false;
  bool live = false;  // else part of a snapshot or resync
};

// The watcher has received everything up to one moment; live changes follow.
struct Synced {
  enum class How : std::uint8_t {
    snapshot,  // the first one
    changes,   // caught up by what had changed
    full,      // caught up by comparing whole partitions
  };
  How how = How::snapshot;
};

// How a call ended.
struct Answer {
  struct Entry {
    std::string key{};
    std::string value{};
    std::string properties{};
    keyspace::Revision revision{};
    std::int64_t expires_at_ms = 0;
  };

  // 0: done. Else the number of a wire::Fault, or one of those below.
  unsigned number = 0;
  std::string text{};
  // Write: of its last operation. revision_mismatch: of the entry that is there (0: none).
  keyspace::Revision revision{};
  std::vector<Entry> entries{};  // read: sorted by key

  bool ok() const { return number == 0; }
};
// The deadline has passed; a write may or may not be applied.
inline constexpr unsigned timed_out = 64;
// The session was closed first; a write may or may not be applied.
inline constexpr unsigned closed = 65;
// The user gave the call up; a write may or may not be applied.
inline constexpr unsigned cancelled = 66;

class Events {
 public:
  virtual ~Events() = default;

  virtual void changed(WatchId watch, const Change& change) = 0;
  virtual void synced(WatchId watch, const Synced& synced) = 0;
  // Updates were lost on the way; a resync follows and ends with synced(). `updates` is exact; it
  // is absent when the stream has begun anew, so that their number is unknown.
  virtual void missed(WatchId watch, std::optional<std::uint64_t> updates) = 0;
  // The cluster refused the watch, which is over.
  virtual void refused(WatchId watch, const Answer& why) = 0;
  // Whether the session has a proxy that answers; at first it has none.
  virtual void contact(bool present) = 0;
  // Once for each call.
  virtual void answered(CallId call, Answer answer) = 0;
};

}  // namespace canopy::client
