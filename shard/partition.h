// One partition as its leader holds it: orders writes, gives each its revision, decides expiry.
// Pure: time is an argument. Not thread-safe.
//
// A turn of the shard stages what came in, makes it durable, then commits it: only then does it
// show in the tree and the log, and only then is it published.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/keyspace/tree.h"
#include "core/keyspace/update_log.h"
#include "core/wire/link.h"

namespace canopy::shard {

class Partition {
 public:
  // How many `once` writes back a repeated one is recognised.
  static constexpr std::size_t max_recent_uuids = 65'536;

  struct Settings {
    std::string subtree{};
    bool retain = true;
    std::size_t log_updates = 100'000;
    std::size_t log_bytes = std::size_t{64} << 20;
  };

  // Starts a new epoch over the recovered entries.
  Partition(Settings settings, std::uint32_t epoch, keyspace::Tree recovered);

  // Starts a new epoch over the entries held; what is staged, nobody has seen, is forgotten.
  void begin_epoch(std::uint32_t epoch);

  // Gives the write the next revision. What expired before `now` is deleted first. False when it
  // was applied before, by its uuid.
  bool stage(wire::Write write, base::TimePoint now);
  // Stages the deletion of every entry whose time is over.
  void expire(base::TimePoint now);

  // Waiting to be made durable, in order.
  const std::vector<keyspace::UpdatePtr>& staged() const { return staged_; }
  // Commits what is staged: the batches to publish, each within the bounds of a message.
  std::vector<wire::Batch> commit(base::TimePoint now);
  // An empty batch: says where the partition stands.
  wire::Batch heartbeat(base::TimePoint now) const;

  const std::string& subtree() const { return settings_.subtree; }
  keyspace::Revision revision() const { return log_.last(); }
  const keyspace::Tree& tree() const { return tree_; }
  const keyspace::UpdateLog& log() const { return log_; }

 private:
  // (when, key); an entry with an expiry is in here exactly until it is overwritten or expires.
  using Expiries = std::set<std::pair<std::int64_t, std::string>>;

  void apply(const keyspace::UpdatePtr& update);
  void index_expiries();
  void forget_expiry(const std::string& key);
  bool seen_before(const std::string& uuid);

  Settings settings_;
  keyspace::Tree tree_;
  keyspace::UpdateLog log_;
  Expiries expiries_;
  std::vector<keyspace::UpdatePtr> staged_;
  keyspace::Revision last_staged_;
  // The uuids of the last `once` writes, in the order they came.
  std::unordered_set<std::string> recent_uuids_;
  std::deque<std::string> recent_order_;
};

}  // namespace canopy::shard
