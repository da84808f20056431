// One partition as its leader holds it: orders writes, gives each its revision, decides expiry.
// Pure: time is an argument. Not thread-safe.
//
// A turn of the shard stages what came in, makes it durable, then commits it: only then does it
// show in the tree and the log, and only then is it published and answered.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/keyspace/update_log.h"
#include "core/wire/link.h"
#include "shard/client_table.h"
#include "shard/replies.h"
#include "shard/space.h"

namespace canopy::shard {

class Partition {
 public:
  // How many `once` writes back a repeated one is recognised, by its uuid and what it writes: a
  // client that gives all its updates one uuid loses none.
  static constexpr std::size_t max_recent_uuids = 65'536;

  struct Settings {
    std::string subtree{};
    bool retain = true;
    std::size_t log_updates = 100'000;
    std::size_t log_bytes = std::size_t{64} << 20;
    Space* space = nullptr;  // of its store, which outlives the partition; null: no bound
  };

  // What became of a request.
  struct Staged {
    wire::Fault fault = wire::Fault::none;
    bool repeated = false;  // decided before: its client gets that answer, nothing is staged
    bool later = false;     // not decided: to be staged again after a commit
  };
  struct Committed {
    std::vector<wire::Batch> batches{};  // to publish, each within the bounds of a message
    std::vector<Reply> replies{};        // to send after that
  };

  // Starts a new epoch over the recovered entries and the requests that had made them. `lineage`:
  // random, not 0, drawn for this leadership alone.
  Partition(Settings settings, std::uint32_t epoch, std::uint64_t lineage, keyspace::Tree recovered,
            const std::vector<AppliedRequest>& applied = {});

  // Starts a new epoch over the entries held; what is staged, nobody has seen, is forgotten.
  void begin_epoch(std::uint32_t epoch, std::uint64_t lineage);

  // Gives the writes the next revisions, all or none. What expired before `now` is deleted first,
  // and conditions see what is staged already. The answer comes with the commit, to `proxy`. A
  // request that is to come later stays as it is.
  Staged stage(ProxyId proxy, wire::RoutedRequest&& routed, base::TimePoint now);
  // Stages the deletion of every entry whose time is over, as far as there is room for that.
  void expire(base::TimePoint now);

  // Waiting to be made durable, in order: the updates, and the requests of clients among them.
  const std::vector<keyspace::UpdatePtr>& staged() const { return staged_; }
  const std::vector<AppliedRequest>& staged_requests() const { return staged_requests_; }
  // Whether a commit has anything to do.
  bool pending() const { return !staged_.empty() || !replies_.empty(); }
  // Commits what is staged.
  Committed commit(base::TimePoint now);
  // Forgets what is staged: it could not be made durable. Every request of the turn is answered
  // `partition_unavailable`, so that its client sends it again.
  std::vector<Reply> withdraw();
  // An empty batch: says where the partition stands.
  wire::Batch heartbeat(base::TimePoint now) const;

  const std::string& subtree() const { return settings_.subtree; }
  keyspace::Revision revision() const { return log_.last(); }
  std::uint64_t lineage() const { return lineage_; }
  const keyspace::Tree& tree() const { return tree_; }
  const keyspace::UpdateLog& log() const { return log_; }
  const keyspace::Tombstones& tombstones() const { return tombstones_; }

 private:
  // (when, key); an entry with an expiry is in here exactly until it is overwritten or expires.
  using Expiries = std::set<std::pair<std::int64_t, std::string>>;

  std::optional<Result> decide(wire::WriteRequest& request, base::TimePoint now);
  Result check(const wire::WriteRequest& request);
  keyspace::Revision current(const std::string& key);
  void stage(wire::Write& write, base::TimePoint now);
  void append(keyspace::Entry entry);
  std::size_t reply(ProxyId proxy, wire::RoutedRequest& routed, Result result);
  Staged repeat(ProxyId proxy, wire::RoutedRequest& routed, ClientTable::Entry& entry);
  void forget_staged();
  void start_epoch(std::uint32_t epoch, std::uint64_t lineage);
  void clear_staged();
  void find_expiries();
  void apply(const keyspace::UpdatePtr& update);
  void forget_expiry(std::string_view key);
  bool seen_before(const wire::WriteRequest& request) const;
  void remember_uuid(const wire::Write& write);
  void forget_uuid(std::string_view uuid);

  Settings settings_;
  std::uint64_t lineage_ = 0;
  keyspace::Tree tree_;
  keyspace::UpdateLog log_;
  keyspace::Tombstones tombstones_;
  Expiries expiries_;
  ClientTable clients_;

  std::vector<keyspace::UpdatePtr> staged_;
  std::vector<AppliedRequest> staged_requests_;
  std::vector<Reply> replies_;
  keyspace::Revision last_staged_;
  // What the first `indexed_` of the staged updates make of their keys; 0: deleted. Conditions look
  // here, so without them it stays empty.
  std::unordered_map<std::string_view, keyspace::Revision> staged_index_;
  std::size_t indexed_ = 0;
  // The uuids of the last `once` writes, each with the hash of its last key and value, and in the
  // order they came; at most base::max_uuid_bytes each.
  std::unordered_map<std::string, std::size_t> recent_uuids_;
  std::deque<const std::string*> recent_order_;  // into the above, whose elements do not move
};

}  // namespace canopy::shard
