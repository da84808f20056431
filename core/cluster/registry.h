// The directory of a cluster as a state machine: who is there (sessions with leases), what they say
// of themselves (leased keys), what they agreed on (keys set by comparison), and who wants to know
// (watches).
//
// Pure: time is an argument, and each call returns its effects: letters to sessions and changes for
// whoever serves the directory. A session is named by the routing id of its connection, opaque
// here. Whatever a session says keeps its lease alive (lease.h). Every collection is bounded; what
// exceeds a bound, or is malformed, is answered with a numbered fault and changes nothing. Not
// thread-safe.
//
// Keys that no lease holds outlive the registry: what compare_and_set() takes is staged, and
// commit() puts any number of changes into the record before it tells of them. One that the record
// cannot keep is not told of, and not refused either, since a restart may find it: the session may
// ask again. A record that was lost leaves those keys absent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/cluster/directory_record.h"
#include "core/cluster/lease.h"

namespace canopy::cluster {

inline constexpr std::size_t max_sessions = base::max_processes;
inline constexpr std::size_t max_name_bytes = 64;
// "partitions/" and the longest subtree, and the like.
inline constexpr std::size_t max_directory_key_bytes = base::max_key_bytes + 64;
// A record of each partition, and what each process says of itself.
inline constexpr std::size_t max_directory_keys = base::max_partitions + 4 * base::max_processes;
// A shard announces all its partitions in one value.
inline constexpr std::size_t max_directory_value_bytes = std::size_t{4} << 20;
inline constexpr std::size_t max_directory_bytes = std::size_t{256} << 20;  // of all values
inline constexpr std::size_t max_watches_per_session = 64;

using SessionId = std::string;

// Why something was refused; the numbers are part of the protocol.
enum class Fault : std::uint8_t {
  malformed = 1,
  unknown_session = 2,  // say hello, and everything, again
  superseded = 3,       // a newer process has this name
  too_many_sessions = 4,
  bad_name = 5,
  bad_key = 6,
  value_too_long = 7,
  too_many_keys = 8,
  key_taken = 9,  // held by another session, or of the other kind
  too_many_watches = 10,
  epoch_out_of_range = 14,
  name_taken = 15,     // another process that holds this name exclusively is there
  no_generation = 16,  // none is left, or the directory cannot keep what it grants
  not_kept = 17,       // the directory cannot keep the change: ask again
};
std::string_view to_text(Fault fault);

// What a session is told.
struct KeyChanged {
  std::string key{};
  std::optional<std::string> value{};  // absent: deleted
  std::uint64_t version = 0;           // of the directory, after this change
};
struct Watched {  // the present values under `prefix` have all been told
  std::string prefix{};
};
struct Swapped {
  std::uint64_t request = 0;
  bool swapped = false;
};
struct Renewed {  // the session's generation from now on
  std::uint32_t generation = 0;
};
struct Failed {
  Fault fault = Fault::malformed;
  std::string subject{};  // the name, key or prefix in question, or why
};
using Answer = std::variant<KeyChanged, Watched, Swapped, Failed, Renewed>;

// What a process says of itself when it registers.
struct Claim {
  std::string name{};
  std::uint32_t generation = 0;  // granted to it earlier; 0: none yet
  // The highest generation or epoch that it knows of, of any process, and the record that it was
  // registered under; empty: none yet.
  std::uint32_t known = 0;
  std::string record{};
  // Not empty: the name is to be held exclusively. Of two processes with the same identity the one
  // that registers later is the successor: the earlier one has ended.
  std::string identity{};
};

struct Letter {
  SessionId to{};
  Answer answer{};
};

// What whoever serves the directory may want to know.
struct SessionEnded {
  enum class Why {
    expired,     // silent for a lease
    left,        // likewise, after it resigned
    superseded,  // by a newer process of its name
    dropped,     // its process has ended, or there is no generation for it
  };
  SessionId session{};
  std::string name{};
  Why why = Why::expired;
};
using Change = std::variant<KeyChanged, SessionEnded>;

struct Effects {
  std::vector<Letter> letters{};  // to be sent in this order
  std::vector<Change> changes{};
};

class Registry {
 public:
  // Versions of keys begin at a generation of the registry's own, so that they grow over restarts.
  explicit Registry(base::Duration lease, DirectoryRecord record = DirectoryRecord(),
                    base::TimePoint now = {});

  // Opens a session, and grants a generation to a process that has none. Of two processes of one
  // name the one of the higher generation counts: it takes over from an older one at once, whose
  // keys go. But a process that holds its name exclusively keeps it until it
  // resigns or its lease ends, or its successor comes; after a restart of the registry another
  // process waits for a lease. Said by a session that is open, it only forgets the session's
  // watches, which are to be said again.
  //
  // A process that was registered under another record, or knows of a higher number, shows that the
  // registry has lost its record: what was granted since then, up to the number that the process
  // knows of, is granted anew above it.
  Effects hello(const SessionId& session, const Claim& claim, base::TimePoint now);

  Effects ping(const SessionId& session, base::TimePoint now);

  // `key` = `value` while the session lives.
  Effects announce(const SessionId& session, const std::string& key, const std::string& value,
                   base::TimePoint now);

  // Sets a key that nobody's lease holds with the next commit(), if its version still is `expected`
  // (0: absent). A `request` repeated by the session that made the last change answers as it did
  // then, also after a restart. What a session has staged goes with it.
  Effects compare_and_set(const SessionId& session, std::uint64_t request, const std::string& key,
                          const std::string& value, std::uint64_t expected, base::TimePoint now);

  bool has_staged() const { return !staged_.empty(); }
  Effects commit();

  // Sets a key that no lease holds with the next commit(), whatever its version is. For the process
  // that serves the directory. No session has staged a change of the key.
  void stage(const std::string& key, const std::string& value);

  // What another directory says of `key`; absent: it is gone there. It belongs to no session, and
  // is not kept over a restart.
  Effects mirror(const std::string& key, const std::optional<std::string>& value);
  // Tells the watchers of `key` of a value that is not kept: nobody finds it later.
  Effects notify(const std::string& key, const std::string& value);

  // The present values under `prefix`, then Watched, then each change.
  Effects watch(const SessionId& session, const std::string& prefix, base::TimePoint now);

  // The session's leased keys go; the session stays.
  Effects resign(const SessionId& session, base::TimePoint now);

  // The process of this session, on this machine, has closed its connection: unless it says
  // something, its lease ends when `closed_grace` is over.
  Effects disconnected(const SessionId& session, base::TimePoint now);
  // A process of this name has ended. If the connection of its session is closed too the session
  // ends at once; else another process may have the name.
  Effects process_ended(const std::string& name);

  // Ends the sessions that have been silent for a lease.
  Effects expire(base::TimePoint now);
  // Starts every lease anew: for a service that was itself asleep, and so heard nobody.
  void renew_leases(base::TimePoint now);

  struct Entry {
    std::string value{};
    std::uint64_t version = 0;
    SessionId session{};        // holder of the lease, or the last to set an unleased key
    std::uint64_t request = 0;  // of the last change, for an unleased key
    bool leased = true;
  };

  base::Duration lease() const { return lease_; }
  bool knows(const SessionId& session) const { return sessions_.contains(session); }
  std::size_t session_count() const { return sessions_.size(); }
  const std::string& record() const { return record_.identity(); }
  // Of an open session.
  std::uint32_t generation(const SessionId& session) const {
    return sessions_.at(session).generation;
  }
  // Why nothing that must last can be granted; empty when it can.
  const std::string& failure() const { return record_.failure(); }
  // The last generation that was granted.
  std::uint32_t last_generation() const { return record_.last(); }
  // Up to here a record that was lost has granted generations; 0: none was lost.
  std::uint32_t floor() const { return record_.floor(); }
  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  struct Session {
    std::string name{};
    std::uint32_t generation = 0;
    bool granted_since = false;  // the generation, since the record began
    std::string identity{};
    base::TimePoint deadline{};
    std::set<std::string> watches{};
    bool resigned = false;  // and has held nothing since
    // Since it last said something:
    bool disconnected = false;
    bool process_ended = false;

    void renew(base::TimePoint until) {
      deadline = until;
      disconnected = process_ended = false;
    }
  };
  // A change that is not kept yet.
  struct Staged {
    Entry entry{};
    bool asked = false;  // its session waits for an answer
  };
  // Adds the refusal of what session `to` asked for; `subject` as in Failed.
  static void fail(Effects& effects, const SessionId& to, Fault fault, const std::string& subject);
  void learn(std::uint32_t known, Effects& effects);
  bool may_hold(const SessionId& session, const Claim& claim, base::TimePoint now,
                Effects& effects) const;
  Session* find(const SessionId& session, base::TimePoint now, Effects& effects);
  void put(const std::string& key, Entry entry);
  void set(const std::string& key, Entry entry, Effects& effects);
  void end_if_gone(const SessionId& session, Effects& effects);
  void erase(const std::string& key, Effects& effects);
  void tell(const KeyChanged& change, Effects& effects) const;
  bool room_for(const SessionId& session, const std::string& key, const std::string& value,
                Effects& effects) const;
  void withdraw(const SessionId& session, Effects& effects);
  void end(const SessionId& session, SessionEnded::Why why, Effects& effects);

  base::Duration lease_;
  DirectoryRecord record_;
  std::uint64_t version_ = 0;
  base::TimePoint holders_return_until_;  // those of before a restart
  std::map<SessionId, Session> sessions_;
  std::map<std::string, SessionId> names_;
  std::map<std::string, Entry> entries_;
  std::size_t value_bytes_ = 0;  // of all entries
  std::map<std::string, Staged> staged_;
};

}  // namespace canopy::cluster
