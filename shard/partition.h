// One partition as its leader sees it: orders writes, gives each its revision, decides expiry.
// Pure: time is an argument. Not thread-safe.
//
// What is staged is proposed to the replica (core/cluster/replica.h), which says once it is
// committed: only then is it published and answered. Any number of turns may be under way. What is
// decided now sees all that was staged before it, and its answer waits for that.
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
  // How many `once` writes back a repeated one is recognised, by its uuid and what it writes: a
  // client that gives all its updates one uuid loses none.
  static constexpr std::size_t max_recent_uuids = 65'536;
  // Requests of one client that are not committed yet; more are refused.
  static constexpr std::size_t max_undecided = 1024;
  // How many refusals back a repeated request gets the same one.
  static constexpr std::size_t max_refusals = 65'536;

  struct Settings {
    std::string subtree{};
    bool retain = true;
    std::uint64_t max_state_bytes = UINT64_MAX;  // of entries; beyond, what adds to them is refused
  };

  // What became of a request.
  struct Staged {
    wire::Fault fault = wire::Fault::none;
    bool repeated = false;  // decided before: its client gets that answer, nothing is staged
  };
  struct Committed {
    std::vector<wire::Batch> batches{};  // to publish, each within the bounds of a message
    std::vector<Reply> replies{};        // to send after that
  };

  // Of a leadership that `replica`, which outlives this, has just begun. `recent`: updates from
  // before its log, of the partition that it was split off.
  Partition(Settings settings, const cluster::Replica& replica,
            const std::vector<keyspace::UpdatePtr>& recent = {});

  // Gives the writes the next revisions, all or none. What expired before `now` is deleted first,
  // and conditions see what is staged already. The answer comes with the commit, to `proxy`.
  Staged stage(ProxyId proxy, wire::RoutedRequest&& routed, base::TimePoint now);
  // Stages a split entry for each of these subtrees that has none, once it is in order. From then
  // on requests for keys of it are `partition_unavailable`.
  void split(const std::vector<std::string>& subtrees);
  // Stages the deletion of every entry whose time is over.
  void expire(base::TimePoint now);

  // What is new is refused like this from now on; none: it is taken. A request that is under way
  // already still gets its own answer.
  void refuse_new(wire::Fault fault) { refusal_ = fault; }
  // Why its disk has no room; empty: it has.
  void set_low(const std::string& why) { room_.set_low(why); }
  // Why what makes the state larger is refused; empty: it is not.
  std::string full() { return room_.full(replica_.tree()); }

  bool staged() const { return !staged_.empty(); }
  // To be proposed, now.
  std::vector<keyspace::LogEntry> take_staged();
  // The replica has committed these: all that was proposed, in order.
  Committed commit(const std::vector<keyspace::LogEntry>& entries, base::TimePoint now);
  // The leadership is over: what was not answered is `partition_unavailable`, so that its client
  // sends it again, to whoever leads then.
  std::vector<Reply> withdraw();
  // An empty batch: says where the partition stands.
  wire::Batch heartbeat(base::TimePoint now) const;

  const std::string& subtree() const { return settings_.subtree; }

 private:
  // What this leadership has decided of a client's request, until that is committed; a refusal, for
  // a while longer.
  struct Decision {
    Result result{};
    std::uint64_t reply = no_reply;  // counted from the first reply of this leadership
  };
  struct Waiting {
    keyspace::Revision at{};  // the answer may go once this is committed
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
  std::deque<Waiting> replies_{};  // in the order of deciding, which is that of committing
  std::uint64_t replies_taken_ = 0;
  std::vector<Reply> refusals_to_send_{};                     // which wait for nothing
  std::unordered_map<std::string, Decision> decisions_{};     // by client and number
  std::unordered_map<std::string, std::size_t> undecided_{};  // client -> its requests under way
  std::deque<std::string> refusals_{};                        // keys of the above, oldest first
  // What is staged and not committed makes of its keys. Conditions look here, so without them it
  // stays empty.
  std::unordered_map<std::string_view, keyspace::UpdatePtr> index_{};
  keyspace::Revision indexed_{};  // up to here
  wire::Fault refusal_ = wire::Fault::none;
  keyspace::Splits splitting_{};  // staged by this leadership
  Room room_;
  // Of all entries with an expiry, staged ones included: (when, key), and when by key.
  std::set<std::pair<std::int64_t, std::string>> expiries_{};
  std::unordered_map<std::string, std::int64_t> expiry_of_{};
  // The uuids of the last `once` writes, each with the hash of its last key and value, and in the
  // order they came; at most base::max_uuid_bytes each.
  std::unordered_map<std::string, std::size_t> recent_uuids_{};
  std::deque<const std::string*> recent_order_{};  // into the above, whose elements do not move
};

}  // namespace canopy::shard
