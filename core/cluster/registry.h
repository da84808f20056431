// The directory of a cluster as a state machine: sessions with leases, the keys that sessions
// announce, the keys that they set by compare-and-set, and watches of both.
//
// Pure: time is an argument. Each call returns its effects: messages to sessions, and changes for
// the server of the directory. Not thread-safe. A session is named by the routing id of its
// connection, opaque here. Each request of a session renews its lease (lease.h). Every collection
// is bounded. A request that exceeds a bound, or is malformed, is answered with a numbered fault
// and changes nothing.
//
// Keys without a lease outlive the registry. compare_and_set() stages a change; commit() stores all
// staged changes in the record and then reports them. A change that the record cannot store is
// neither reported nor refused, because a restart may find it: the session may repeat its request.
// If the record is lost, those keys are absent.
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
// A record of each partition, and the announcements of each process.
inline constexpr std::size_t max_directory_keys = base::max_partitions + 4 * base::max_processes;
// A shard announces all its partitions in one value.
inline constexpr std::size_t max_directory_value_bytes = std::size_t{4} << 20;
inline constexpr std::size_t max_directory_bytes = std::size_t{256} << 20;  // of all values
inline constexpr std::size_t max_watches_per_session = 64;

using SessionId = std::string;

// Why something was refused; the numbers are part of the protocol.
enum class Fault : std::uint8_t {
  malformed = 1,
  unknown_session = 2,  // register, and send everything, again
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

// Messages to a session.
struct KeyChanged {
  std::string key{};
  std::optional<std::string> value{};  // absent: deleted
  std::uint64_t version = 0;           // of the directory, after this change
};
struct Watched {  // all present values under `prefix` have been sent
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
using MessageBody = std::variant<KeyChanged, Watched, Swapped, Failed, Renewed>;

// What a process sends when it registers.
struct Registration {
  std::string name{};
  std::uint32_t generation = 0;  // granted to it earlier; 0: none yet
  // The highest generation or epoch of any process that it knows, and the record under which it was
  // registered; empty: none yet.
  std::uint32_t known = 0;
  std::string record{};
  // Not empty: the name is to be held exclusively. Of two processes with the same identity the one
  // that registers later is the successor: the earlier one has ended.
  std::string identity{};
};

struct Message {
  SessionId to{};
  MessageBody body{};
};

struct SessionEnded {
  enum class Why {
    expired,     // its lease ended
    left,        // its lease ended after it had resigned
    superseded,  // by a newer process of its name
    dropped,     // its process has ended, or there is no generation for it
  };
  SessionId session{};
  std::string name{};
  Why why = Why::expired;
};
// For the server of the directory.
using Change = std::variant<KeyChanged, SessionEnded>;

struct Effects {
  std::vector<Message> messages{};  // to be sent in this order
  std::vector<Change> changes{};
};

class Registry {
 public:
  // Versions of keys begin at a generation of the registry's own, so that they grow over restarts.
  explicit Registry(base::Duration lease, DirectoryRecord record = DirectoryRecord(),
                    base::TimePoint now = {});

  // Opens a session, and grants a generation to a process that has none. Of two processes of one
  // name, the one with the higher generation supersedes the other at once; the keys of the other
  // are deleted. A process that holds its name exclusively keeps it until it resigns, its lease
  // ends, or its successor registers; after a restart of the registry another process waits for one
  // lease. Of an open session this only deletes the watches, which the process sends again.
  //
  // A process that was registered under another record, or knows a higher number, shows that the
  // registry has lost its record. Generations granted since then, up to the number that the process
  // knows, are replaced by higher ones.
  Effects register_process(const SessionId& session, const Registration& registration,
                           base::TimePoint now);

  Effects ping(const SessionId& session, base::TimePoint now);

  // `key` = `value` while the session lives.
  Effects announce(const SessionId& session, const std::string& key, const std::string& value,
                   base::TimePoint now);

  // Sets a key without a lease with the next commit(), if its version still is `expected` (0:
  // absent). If the session that made the last change repeats its `request`, it gets the same
  // answer, also after a restart. The end of a session discards what it has staged.
  Effects compare_and_set(const SessionId& session, std::uint64_t request, const std::string& key,
                          const std::string& value, std::uint64_t expected, base::TimePoint now);

  bool has_staged() const { return !staged_.empty(); }
  Effects commit();

  // Sets a key without a lease with the next commit(), whatever its version is. For the server of
  // the directory. No session has staged a change of the key.
  void stage(const std::string& key, const std::string& value);

  // The value of `key` in another directory; absent: deleted there. It belongs to no session, and
  // is not kept over a restart.
  Effects mirror(const std::string& key, const std::optional<std::string>& value);
  // Sends the watchers of `key` a value that the directory does not keep.
  Effects notify(const std::string& key, const std::string& value);

  // The present values under `prefix`, then Watched, then each change.
  Effects watch(const SessionId& session, const std::string& prefix, base::TimePoint now);

  // Deletes the session's leased keys; the session stays.
  Effects resign(const SessionId& session, base::TimePoint now);

  // The process of this session, on this machine, has closed its connection. Its lease ends after
  // `closed_grace`, unless a request arrives before.
  Effects disconnected(const SessionId& session, base::TimePoint now);
  // A process of this name has ended. If the connection of its session is closed too, the session
  // ends at once; else another process may have the name.
  Effects process_ended(const std::string& name);

  // Ends the sessions whose leases have ended.
  Effects expire(base::TimePoint now);
  // Starts every lease anew, for a server that was stopped and so received nothing.
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
  // Why the record cannot be stored, so that nothing can be granted; empty: it can.
  const std::string& failure() const { return record_.failure(); }
  // The last generation that was granted.
  std::uint32_t last_generation() const { return record_.last(); }
  // The highest generation that a lost record may have granted; 0: no record was lost.
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
    bool resigned = false;  // and has announced nothing since
    // Since its last request:
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
    bool asked = false;  // its session waits for a reply
  };
  // Adds the refusal of what session `to` asked for; `subject` as in Failed.
  static void fail(Effects& effects, const SessionId& to, Fault fault, const std::string& subject);
  void learn(std::uint32_t known, Effects& effects);
  bool may_hold(const SessionId& session, const Registration& registration, base::TimePoint now,
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
  base::TimePoint holders_return_until_;  // until then names of before a restart are reserved
  std::map<SessionId, Session> sessions_;
  std::map<std::string, SessionId> names_;
  std::map<std::string, Entry> entries_;
  std::size_t value_bytes_ = 0;  // of all entries
  std::map<std::string, Staged> staged_;
};

}  // namespace canopy::cluster
