// Answers the syncs of proxies with chunks of a replay from the log, or else of a snapshot at an
// exact cut. Pure: time is an argument. Not thread-safe. Format: core/wire/link.h.
//
// A proxy gets chunks while it has credit and its queue has room, a few a turn, so that updates
// never wait. A snapshot begins with the split entries and the deletions that are still known. A
// session ends with its connection. A sync that is repeated under the same request changes nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "core/keyspace/tree.h"
#include "core/wire/link.h"
#include "shard/replies.h"

namespace canopy::shard {

class SyncSessions {
 public:
  static constexpr std::size_t max_sessions = 4096;
  // Deletions examined for one chunk, sent or not: each takes a search in the tree.
  static constexpr std::size_t deletions_per_chunk = 2'000;
  // A session without credit, or without room at its proxy, ends after this time.
  static constexpr base::Duration timeout = std::chrono::seconds(30);
  // Chunks that a turn may send when the commits of the last turn took `commits`: few, so that
  // updates hardly wait, and more where turns are long and therefore rare.
  static std::size_t chunks_per_turn(base::Duration commits);

  struct Finished {
    wire::Chunk::Kind kind;
    base::Duration took;
  };
  using Find = std::function<const cluster::Replica*(const std::string& subtree)>;
  // True when the proxy's queue has room for a chunk.
  using HasRoom = std::function<bool(ProxyId)>;
  struct Step {
    ProxyId proxy = 0;
    wire::Chunk chunk;
    std::optional<Finished> finished{};
  };

  // Begins a session, or continues the one of this request. Replaces an earlier request of the
  // proxy for the same partition. False when there are too many sessions.
  bool open(ProxyId proxy, const wire::Sync& sync, const cluster::Replica& replica,
            base::TimePoint now);
  void credit(ProxyId proxy, const wire::Credit& credit);
  // The proxy's connection is closed.
  void close(ProxyId proxy);

  // The next chunk of a session with credit and room, round robin; nothing when there is none.
  // `find` returns the replica of a subtree, or null when it is not served.
  std::optional<Step> next(const Find& find, const HasRoom& has_room, base::TimePoint now);
  // True when next() would return a chunk.
  bool waiting(const HasRoom& has_room) const;
  void drop_idle(const HasRoom& has_room, base::TimePoint now);

  std::size_t size() const { return sessions_.size(); }

 private:
  using Id = std::pair<ProxyId, std::string>;  // proxy, partition
  struct Snapshot {
    keyspace::Revision cut{};
    keyspace::Revision floor{};  // of the deletions sent
    keyspace::Revision split{};  // of the last split entry
    std::vector<keyspace::UpdatePtr> splits{};
    std::size_t next_split = 0;
    keyspace::TreeView view;
    keyspace::TreeView::Cursor next;
  };
  struct Session {
    std::uint64_t request = 0;
    std::uint64_t lineage = 0;
    std::uint32_t next_number = 0;
    std::uint64_t credit = wire::initial_credit;
    // The last update sent, or in a snapshot the last deletion examined.
    keyspace::Revision position{};
    std::optional<Snapshot> snapshot{};
    base::TimePoint began{};
    base::TimePoint moved{};
  };

  static void begin_snapshot(Session& session, const cluster::Replica& replica);
  static wire::Chunk fill(Session& session, const cluster::Replica& replica);
  static void fill_snapshot(Session& session, const cluster::Replica& replica, wire::Chunk& chunk);
  static void fill_replay(Session& session, const cluster::Replica& replica, wire::Chunk& chunk);

  std::map<Id, Session> sessions_;
  Id last_served_{};
};

}  // namespace canopy::shard
