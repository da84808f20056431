// What goes in and out of a client.
//
// A key is a path such as "/results/eu/42": 1 to 255 bytes without control characters. A subtree is
// a prefix that ends with '/', or "" for everything; a full key stands for itself alone. Values are
// opaque bytes, at most 1 MiB. An empty value is one like others, except to Clone clients, for whom
// the key then does not exist. A revision is the position of a write in the history of its
// partition: of two writes to one key, the later has the greater one.
#pragma once

#include <canopy/export.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy {

class Error;

// How a client finds its cluster.
struct Options {
  // Asked which proxies there are, one after the other: tcp://HOST:PORT.
  std::vector<std::string> brokers{"tcp://127.0.0.1:5550"};
  // If not empty: the native endpoints (tcp://HOST:PORT) of the proxies to use; no broker is asked.
  std::vector<std::string> proxies{};
  // Of each call; from then on it fails with Error::timeout.
  std::chrono::milliseconds timeout{10'000};

  // For a cluster with `security`, which speaks CURVE: its public key, and the pair by which it
  // knows this client, each as text of 40 characters. All three or none.
  std::string server_key{};
  std::string public_key{};
  std::string secret_key{};

  // Sets these three. `own` is a file such as `canopy keygen` makes, NAME.key_secret, and `server`
  // the file with the cluster's public key, or that key. Throws std::invalid_argument for what is
  // none, or when others than its owner may read `own`.
  CANOPY_EXPORT Options& use_keys(const std::string& own, const std::string& server);
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
  std::chrono::milliseconds ttl{0};            // deleted by the cluster after this; 0: never
  std::optional<std::uint64_t> if_revision{};  // only if the entry has it; 0: only if there is none
  std::string properties{};                    // `name=value\n`…, at most 4 KiB
};

struct EraseOptions {
  std::optional<std::uint64_t> if_revision{};
};

struct WatchOptions {
  // 0: every update. Else at most so often, and only the latest value of each key: for watchers
  // that do not need the steps between. At most a minute.
  std::chrono::milliseconds latest{0};
  // Lets the cluster compress, where that pays; worth it over slow lines.
  bool compress = false;
};

// The watcher has been told everything up to one moment; live changes follow.
enum class Sync {
  snapshot,  // the first time
  changes,   // again, by what had changed meanwhile
  full,      // again, by comparing everything
};

// All are optional, and called on the client's own thread, one at a time.
struct Watcher {
  // First the entries there are, then each change, each once.
  std::function<void(const Change& change)> on_change{};
  std::function<void(Sync sync)> on_synced{};
  // Updates were lost on the way here; what they changed is told before the next on_synced.
  // `updates` is exact, and absent when nobody can know.
  std::function<void(std::optional<std::uint64_t> updates)> on_gap{};
  // Contact with the cluster was lost, or is there (again).
  std::function<void(bool present)> on_contact{};
  // The watch was refused, and is over.
  std::function<void(const Error& error)> on_error{};
};

// How a call without waiting ended: `error` is null when it was done. Called on the client's own
// thread, exactly once.
using WriteDone = std::function<void(const Error* error, std::uint64_t revision)>;
using GetDone = std::function<void(const Error* error, std::optional<Entry> entry)>;
using ListDone = std::function<void(const Error* error, std::vector<Entry> entries)>;

}  // namespace canopy
