// The values that go in and out of a client. Plain data: not thread-safe, each owns what it holds
// unless it says otherwise. docs/reference/protocol.md specifies keys, subtrees and revisions.
//
// A key is a path such as "/results/eu/42": 1 to 255 bytes without control characters. A subtree is
// a prefix that ends with '/', or "" for the root; a full key is a subtree of one. Values are
// opaque bytes, at most 1 MiB. Clone clients take an empty value for a deletion. A revision is the
// position of a write in the history of its partition: of two writes to one key, the later has the
// greater one.
#pragma once

#include <canopy/export.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace canopy {

class Error;

enum class LogLevel { debug, info, warning, error };

// How a client finds its cluster.
struct Options {
  // The client asks them in turn which proxies there are: tcp://HOST:PORT.
  std::vector<std::string> brokers{"tcp://127.0.0.1:5550"};
  // If not empty: native endpoints (tcp://HOST:PORT) of the proxies to use; no broker is asked.
  std::vector<std::string> proxies{};
  // Of each call that has no timeout of its own. A call then fails with Error::timeout.
  std::chrono::milliseconds timeout{10'000};

  // For a cluster with `security`, which speaks CURVE: the cluster's public key, and the key pair
  // of this client, each as text of 40 characters (Z85). All three or none.
  std::string server_key{};
  std::string public_key{};
  std::string secret_key{};

  // Gets what the client logs, one event a call: connections made, lost and refused. Called on the
  // client's own thread, which it holds up: it must return soon, must not throw, and must not call
  // the client. Without it the client logs nothing.
  std::function<void(LogLevel level, std::string_view text)> log{};

  // Sets the three keys. `own` is a file that `canopy keygen` made, NAME.key_secret; `server` is
  // the file with the cluster's public key, or that key. Throws std::invalid_argument when a file
  // cannot be read or holds no key, or when others than its owner may read `own`.
  CANOPY_EXPORT Options& use_keys(const std::string& own, const std::string& server);
};

struct CallOptions {
  std::optional<std::chrono::milliseconds> timeout{};  // absent: Options::timeout
  // When a stop is requested, the call ends with Error::cancelled. A write may still be applied.
  std::stop_token stop{};
};

struct Entry {
  std::string key{};
  std::string value{};
  std::string properties{};
  std::uint64_t revision = 0;
  std::int64_t expires_at_ms = 0;  // since the Unix epoch; 0: never
};

// A change of one watched key. The views live until the callback returns.
struct Change {
  std::string_view key{};
  std::string_view value{};  // empty when deleted, and may be empty otherwise
  std::string_view properties{};
  std::uint64_t revision = 0;
  std::int64_t expires_at_ms = 0;
  bool deleted = false;
  bool live = false;  // else part of the first snapshot, or of a resync
};

struct PutOptions {
  std::chrono::milliseconds ttl{0};            // the cluster deletes the key after this; 0: never
  std::optional<std::uint64_t> if_revision{};  // only if the entry has it; 0: only if there is none
  std::string properties{};                    // `name=value\n`…, at most 4 KiB
  CallOptions call{};
};

struct EraseOptions {
  std::optional<std::uint64_t> if_revision{};
  CallOptions call{};
};

// The proxy sends the whole subtree, whatever these say: they bound what the call returns.
struct ListOptions {
  std::size_t limit = 0;      // at most so many entries, in the order of the keys; 0: all
  std::string start_after{};  // entries whose keys are above this one; empty: all
  bool keys_only = false;     // leaves out values and properties
  CallOptions call{};
};

struct WatchOptions {
  // 0: every update. Else at most one update of each key in this time, with its latest value: for
  // watchers that do not need the steps between. At most a minute.
  std::chrono::milliseconds latest{0};
  // Lets the proxy compress batches. It saves bytes on slow networks, and costs CPU.
  bool compress = false;
  // Changes that wait for a slow on_change, in bytes. Above it a change replaces the one of the
  // same key that waits, and on_gap reports how many were replaced. The queue then holds at most
  // one change of each key above the bound.
  std::size_t max_queue_bytes = std::size_t{16} << 20;
};

// The watcher has received everything up to one moment; live changes follow.
enum class Sync {
  snapshot,  // the first time
  changes,   // after a resync that sent what had changed meanwhile
  full,      // after a resync that compared everything
};

// Callbacks of one watch. All are optional. Each watch has a thread of its own, which calls them
// one at a time: a slow one holds up no other watch and no call. They may use the client, blocking
// functions included, and end their own watch. They must not throw.
struct Watcher {
  // First the entries there are, then each change, each once.
  std::function<void(const Change& change)> on_change{};
  std::function<void(Sync sync)> on_synced{};
  // Updates did not arrive, or were replaced by later ones of their keys (max_queue_bytes). The
  // latest values follow. `updates` is exact; it is absent when the cluster does not know.
  std::function<void(std::optional<std::uint64_t> updates)> on_gap{};
  // The client has a proxy that answers, or has lost it.
  std::function<void(bool present)> on_contact{};
  // The cluster refused the watch, which is over.
  std::function<void(const Error& error)> on_error{};
};

// Counts since the client was made, and the present state.
struct Stats {
  std::string proxy{};               // name of the proxy in use; empty: none
  std::string proxy_endpoint{};      // tcp://HOST:PORT
  std::uint64_t open_calls = 0;      // calls that wait for an answer or to be sent
  std::uint64_t changes = 0;         // changes that arrived for watches
  std::uint64_t merged_changes = 0;  // of these, replaced in a full queue
  std::uint64_t queued_bytes = 0;    // changes that wait for on_change
  std::uint64_t contacts_lost = 0;   // times that the client lost its proxy
};

// How a call without waiting ended: `error` is null when it was done. Called exactly once, on a
// thread of the client that calls one at a time. They may use the client, blocking functions
// included, and must not throw.
using WriteDone = std::function<void(const Error* error, std::uint64_t revision)>;
using GetDone = std::function<void(const Error* error, std::optional<Entry> entry)>;
using ListDone = std::function<void(const Error* error, std::vector<Entry> entries)>;

}  // namespace canopy
