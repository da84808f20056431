// Answers to the syncs of proxies: replays from the log, else snapshots of an exact cut, in chunks
// under the asker's credit, a few a turn, so that updates never wait for them. A snapshot opens
// with the deletions that are still known. A session goes on for as long as its asker takes chunks:
// a sync that is sent again under the same request changes nothing.
// Pure: time is an argument. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/keyspace/tree.h"
#include "core/wire/link.h"
#include "shard/partition.h"

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
  struct Step {
    std::string peer;  // routing id
    wire::Chunk chunk;
    std::optional<Finished> finished{};
  };

  // Begins to answer, or goes on if it is this request that is being answered; replaces any other
  // that the same peer asked of the same partition. False when there are too many sessions.
  bool open(const std::string& peer, const wire::Sync& sync, const Partition& partition,
            base::TimePoint now);
  void credit(const std::string& peer, const wire::Credit& credit);
  void close(const std::string& peer, const std::string& partition);
  // The chunk of the last next() could not be sent, since its proxy takes nothing for now: it comes
  // again after a pause.
  void put_back(base::TimePoint now);

  // The next chunk of some session that has credit, in turns; nothing when none has. `find` gives
  // the partition of a subtree, or null when it is no longer served.
  std::optional<Step> next(const std::function<const Partition*(const std::string&)>& find,
                           base::TimePoint now);
  bool waiting(base::TimePoint now) const;
  void drop_idle(base::TimePoint now);

  std::size_t size() const { return sessions_.size(); }

 private:
  using Id = std::pair<std::string, std::string>;  // peer, partition
  struct Snapshot {
    keyspace::Revision cut{};
    keyspace::Revision floor{};  // of the deletions told
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
    base::TimePoint blocked_until{};  // its proxy took no chunk
  };
  static constexpr base::Duration pause = std::chrono::milliseconds(100);

  static bool may_go_on(const Session& session, base::TimePoint now) {
    return session.credit > 0 && session.blocked_until <= now;
  }
  static void begin_snapshot(Session& session, const Partition& partition);
  static wire::Chunk fill(Session& session, const Partition& partition);
  static void fill_snapshot(Session& session, const Partition& partition, wire::Chunk& chunk);
  static void fill_replay(Session& session, const Partition& partition, wire::Chunk& chunk);

  std::map<Id, Session> sessions_;
  Id last_served_;
  Session before_;  // what the last served was before, for a moment: it holds a view
};

}  // namespace canopy::shard
