// Reads, writes and watches the tree of a Canopy cluster.
//
// A client has a thread for its connection and one proxy of the cluster, which it finds by itself.
// When the proxy goes away, the client continues at another one: writes under way are applied once,
// and watches miss and repeat nothing. Calls wait for a cluster that is not there yet, within their
// timeout.
//
// Thread-safe. Callbacks run on threads of the library (types.h says which) and may use the client.
// A client must not be destroyed in one of its callbacks. docs/reference/protocol.md specifies the
// protocol.
#pragma once

#include <canopy/export.h>
#include <canopy/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy {

class CallbackQueue;
class Engine;

// Writes that are applied together or not at all. All of their keys must belong to one partition.
// Not thread-safe.
class CANOPY_EXPORT Batch {
 public:
  Batch();
  Batch(const Batch&);
  Batch(Batch&&) noexcept;
  Batch& operator=(const Batch&);
  Batch& operator=(Batch&&) noexcept;
  ~Batch();

  Batch& put(std::string_view key, std::string_view value, const PutOptions& options = {});
  Batch& erase(std::string_view key, const EraseOptions& options = {});
  // At most 1,024, and 4 MiB together.
  std::size_t size() const;

 private:
  friend class Client;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A watch, which ends with it. Once its destructor or reset() has returned, no callback of the
// watch runs any more. A callback may reset its own watch: it is then the last one. Two callbacks
// must not reset the watches of each other. May outlive the client.
class CANOPY_EXPORT Subscription {
 public:
  Subscription() noexcept;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  void reset();

 private:
  friend class Client;
  Subscription(std::weak_ptr<Engine> engine, std::uint64_t id,
               std::shared_ptr<CallbackQueue> callbacks);

  std::weak_ptr<Engine> engine_;
  std::uint64_t id_ = 0;
  std::shared_ptr<CallbackQueue> callbacks_;
};

class CANOPY_EXPORT Client {
 public:
  // Starts looking for the cluster. Throws std::invalid_argument for an endpoint or key that is
  // none.
  explicit Client(const Options& options = {});
  // Open calls end with Error::closed, also the ones in which a callback waits. Once it has
  // returned, no callback runs any more.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // --- writing: the revision, once the cluster has committed it. Throw Error.
  // Writes to one key are applied in the order in which they were made.

  std::uint64_t put(std::string_view key, std::string_view value, const PutOptions& options = {});
  // It is no error if there is no such key.
  std::uint64_t erase(std::string_view key, const EraseOptions& options = {});
  // The revision of the last one; the others have those before it.
  std::uint64_t apply(const Batch& batch, const CallOptions& options = {});

  // The same without waiting. Throw Error::busy while 65,536 callbacks wait to be called.
  void put(std::string_view key, std::string_view value, const PutOptions& options, WriteDone done);
  void erase(std::string_view key, const EraseOptions& options, WriteDone done);
  void apply(const Batch& batch, WriteDone done, const CallOptions& options = {});

  // Waits until every write that was made before is answered; their callbacks may still be to come.
  // Timeouts of the writes bound the wait.
  void flush();

  // --- reading, from the proxy's copy: it may be some milliseconds behind. Throw Error.

  std::optional<Entry> get(std::string_view key, const CallOptions& options = {});
  // Sorted by key.
  std::vector<Entry> list(std::string_view subtree, const ListOptions& options = {});

  void get(std::string_view key, GetDone done, const CallOptions& options = {});
  void list(std::string_view subtree, ListDone done, const ListOptions& options = {});

  // Waits for the client's thread, which answers at once.
  Stats stats() const;

  // --- watching: returns at once. Throws std::system_error when no thread can be started.

  [[nodiscard]] Subscription watch(std::string_view subtree, Watcher watcher,
                                   const WatchOptions& options = {});
  [[nodiscard]] Subscription watch(std::string_view subtree,
                                   std::function<void(const Change&)> on_change,
                                   const WatchOptions& options = {});

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace canopy
