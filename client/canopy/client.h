// Reads, writes and watches the tree of a Canopy cluster.
//
// A client has one thread of its own and one proxy of the cluster, found by itself; when that goes
// away it goes on at another, and nothing that is under way is lost, repeated or told twice. The
// cluster need not be there yet: calls wait for it, within their timeout.
//
// Thread-safe. Callbacks run on the client's thread and hold everything up while they run; they may
// use the functions that take a callback, and destroy subscriptions, but must not throw. Calling a
// blocking function from one throws std::logic_error, for it could never return. A client must not
// be destroyed by its own callbacks.
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

// A watch, which ends with it. Once its destructor has returned, no callback of it is running or
// will run (unless it is destroyed by its own callback, which then ends). May outlive the client.
class CANOPY_EXPORT Subscription {
 public:
  Subscription() noexcept;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  void reset();

 private:
  friend class Client;
  Subscription(std::weak_ptr<Engine> engine, std::uint64_t id);

  std::weak_ptr<Engine> engine_;
  std::uint64_t id_ = 0;
};

class CANOPY_EXPORT Client {
 public:
  // Starts looking for the cluster. Throws std::invalid_argument for an endpoint or key that is
  // none.
  explicit Client(const Options& options = {});
  // Calls that are still open end with Error::closed.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // --- writing: the revision, once the cluster has committed it. Throw Error.
  // Writes to one key are applied in the order in which they were made.

  std::uint64_t put(std::string_view key, std::string_view value, const PutOptions& options = {});
  // It is no error if there is no such key.
  std::uint64_t erase(std::string_view key, const EraseOptions& options = {});
  // The revision of the last one; the others have those before it.
  std::uint64_t apply(const Batch& batch);

  // The same without waiting.
  void put(std::string_view key, std::string_view value, const PutOptions& options, WriteDone done);
  void erase(std::string_view key, const EraseOptions& options, WriteDone done);
  void apply(const Batch& batch, WriteDone done);

  // --- reading, from the proxy's copy: it may be some milliseconds behind. Throw Error.

  std::optional<Entry> get(std::string_view key);
  std::vector<Entry> list(std::string_view subtree);  // sorted by key

  void get(std::string_view key, GetDone done);
  void list(std::string_view subtree, ListDone done);

  // --- watching: returns at once.

  [[nodiscard]] Subscription watch(std::string_view subtree, Watcher watcher,
                                   const WatchOptions& options = {});
  [[nodiscard]] Subscription watch(std::string_view subtree,
                                   std::function<void(const Change&)> on_change,
                                   const WatchOptions& options = {});

 private:
  friend class Map;

  std::shared_ptr<Engine> engine_;
};

}  // namespace canopy
