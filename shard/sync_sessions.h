// Answers to the syncs of proxies: replays from the log, else snapshots of an exact cut, in chunks
// under the asker's credit and while its queue has room, a few a turn, so that updates never wait
// for them. A snapshot opens with the split entries and the deletions that are still known. A
// session goes on for as long as its asker takes chunks, and ends with its connection: a sync that
// is sent again under the same request changes nothing. Pure: time is an argument. Not thread-safe.
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
  // Deletions looked at for one chunk, whether told or not: each takes a search in the tree.
  static constexpr std::size_t deletions_per_chunk = 2'000;
  // A session that has no credit, or no room at its proxy, for this long is given up.
  static constexpr base::Duration patience = std::chrono::seconds(30);
  // Chunks that may be sent in a turn when the commits of the last one took so long: a few, so that
  // updates hardly wait for them, and more where turns are long and therefore few.
  static std::size_t chunks_per_turn(base::Duration commits);

  struct Finished {
    wire::Chunk::Kind kind;
    base::Duration took;
  };
  using Find = std::function<const cluster::Replica*(const std::string& subtree)>;
  // Whether a proxy's queue has room for a chunk.
  using HasRoom = std::function<bool(ProxyId)>;
  struct Step {
    ProxyId proxy = 0;
    wire::Chunk chunk;
    std::optional<Finished> finished{};
  };

  // Begins to answer, or goes on if it is this request that is being answered; replaces any other
  // that the same proxy asked of the same partition. False when there are too many sessions.
  bool open(ProxyId proxy, const wire::Sync& sync, const cluster::Replica& replica,
            base::TimePoint now);
  void credit(ProxyId proxy, const wire::Credit& credit);
  // The proxy's connection is closed.
  void close(ProxyId proxy);

  // The next chunk of some session that has credit and room, in turns; nothing when none has.
  // `find` gives the partition of a subtree, or null when it is no longer served.
  std::optional<Step> next(const Find& find, const HasRoom& has_room, base::TimePoint now);
  // Whether next() would find one.
  bool waiting(const HasRoom& has_room) const;
  void drop_idle(const HasRoom& has_room, base::TimePoint now);

  std::size_t size() const { return sessions_.size(); }

 private:
  using Id = std::pair<ProxyId, std::string>;  // proxy, partition
  struct Snapshot {
    keyspace::Revision cut{};
    keyspace::Revision floor{};  // of the deletions told
    keyspace::Revision split{};  // of the latest of these
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
    // The last update that was sent or, of a snapshot, the last deletion that was looked at.
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
