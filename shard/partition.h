// The decisions of a partition's leader: orders writes, assigns revisions, decides expiry. Pure:
// time is an argument. Not thread-safe. Lives as long as one leadership.
//
// Staged writes are proposed to the replica (core/cluster/replica.h). They are published and
// answered once it has committed them. Several turns may be uncommitted. A decision sees every
// write staged before it, and its answer waits for the commit of those.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "core/wire/link.h"
#include "shard/replies.h"
#include "shard/room.h"

namespace canopy::shard {

class Partition {
 public:
  // A repeated `once` write is recognised within this many, by its uuid and content. So a client
  // that uses one uuid for all updates loses none.
  static constexpr std::size_t max_recent_uuids = 65'536;
  // Uncommitted requests of one client; more are refused.
  static constexpr std::size_t max_undecided = 1024;
  // A repeated request gets the same refusal within this many refusals.
  static constexpr std::size_t max_refusals = 65'536;

  struct Settings {
    std::string subtree{};
    bool retain = true;
    std::uint64_t max_state_bytes = UINT64_MAX;  // of entries; writes beyond are refused
  };

  // The outcome of stage().
  struct Staged {
    wire::Fault fault = wire::Fault::none;
    bool repeated = false;  // decided before: gets the earlier answer, nothing is staged
  };
  struct Committed {
    std::vector<wire::Batch> batches{};  // to publish, each within the bounds of a message
    std::vector<Reply> replies{};        // to send after publishing
  };

  // `replica` has just begun to lead, and outlives this. `recent`: of a partition that was split
  // off, the updates from before its log.
  Partition(Settings settings, const cluster::Replica& replica,
            const std::vector<keyspace::UpdatePtr>& recent = {});

  // Stages all writes under the next revisions, or none. Entries that expired before `now` are
  // deleted first. Conditions see staged writes. The answer goes to `proxy` with the commit.
  Staged stage(ProxyId proxy, wire::RoutedRequest&& routed, base::TimePoint now);
  // Stages a split entry for each of these subtrees that has none, in order. From then on requests
  // for keys of the part are `partition_unavailable`.
  void split(const std::vector<std::string>& subtrees);
  // Stages the deletion of every expired entry.
  void expire(base::TimePoint now);

  // Refuses new requests with this fault; none: accepts them. Uncommitted requests still get their
  // own answers.
  void refuse_new(wire::Fault fault) { refusal_ = fault; }
  // Why its disk has no room; empty: it has.
  void set_low(const std::string& why) { room_.set_low(why); }
  // Why writes that grow the state are refused; empty: they are not.
  std::string full() { return room_.full(replica_.tree()); }

  bool staged() const { return !staged_.empty(); }
  // Removes and returns the staged entries; the caller proposes them now.
  std::vector<keyspace::LogEntry> take_staged();
  // The replica has committed these proposed entries, in order.
  Committed commit(const std::vector<keyspace::LogEntry>& entries, base::TimePoint now);
  // The leadership is over: answers every open request with `partition_unavailable`, so that its
  // client sends it to the next leader.
  std::vector<Reply> withdraw();
  // An empty batch with the present revision.
  wire::Batch heartbeat(base::TimePoint now) const;

  const std::string& subtree() const { return settings_.subtree; }

 private:
  // The decision on a client's request, kept until its commit; refusals are kept longer.
  struct Decision {
    Result result{};
    std::uint64_t reply = no_reply;  // counted from the first reply of this leadership
  };
  struct Waiting {
    keyspace::Revision at{};  // send the reply once this revision is committed
    Reply reply{};
  };
  static constexpr std::uint64_t no_reply = UINT64_MAX;

  std::optional<Staged> recognise(ProxyId proxy, wire::RoutedRequest& routed);
  Result decide(wire::WriteRequest& request, base::TimePoint now);
  bool is_split_off(std::string_view key) const;
  Result check(const wire::WriteRequest& request);
  keyspace::Revision current(std::string_view key);
  void stage(const wire::Write& write, base::TimePoint now);
  void append(keyspace::Entry entry);
  std::uint64_t reply(ProxyId proxy, wire::RoutedRequest& routed, Result result);
  void remember(wire::WriteRequest& request, Result result, std::uint64_t reply);
  void confirm(const keyspace::AppliedRequest& request);
  void remember_uuid_of(const keyspace::Update& update);
  void forget_expiries(std::string_view subtree);
  void find_expiries();
  void set_expiry(std::string_view key, std::int64_t expires_at_ms);
  bool seen_before(const wire::WriteRequest& request) const;
  void remember_uuid(std::string_view uuid, std::size_t content);

  const Settings settings_;
  const cluster::Replica& replica_;

  std::vector<keyspace::LogEntry> staged_{};
  keyspace::Revision last_staged_;
  std::deque<Waiting> replies_{};  // in the order of decisions, which is that of commits
  std::uint64_t replies_taken_ = 0;
  std::vector<Reply> refusals_to_send_{};                     // they wait for no commit
  std::unordered_map<std::string, Decision> decisions_{};     // by client and number
  std::unordered_map<std::string, std::size_t> undecided_{};  // client -> uncommitted requests
  std::deque<std::string> refusals_{};                        // keys of decisions_, oldest first
  // The last uncommitted update of each key. Filled only when a condition needs it.
  std::unordered_map<std::string_view, keyspace::UpdatePtr> index_{};
  keyspace::Revision indexed_{};  // index_ holds updates up to here
  wire::Fault refusal_ = wire::Fault::none;
  keyspace::Splits splitting_{};  // staged by this leadership
  Room room_;
  // Entries with an expiry, staged ones included: (ms, key), and ms by key.
  std::set<std::pair<std::int64_t, std::string>> expiries_{};
  std::unordered_map<std::string, std::int64_t> expiry_of_{};
  // The uuids of recent `once` writes with the hash of their last key and value; and in order of
  // arrival. At most base::max_uuid_bytes each.
  std::unordered_map<std::string, std::size_t> recent_uuids_{};
  std::deque<const std::string*> recent_order_{};  // into recent_uuids_, whose elements do not move
};

}  // namespace canopy::shard
