// The snapshots being sent to the clients of one dialect: each an exact cut of the mirror, sent as
// fast as its client takes it, a bounded number of entries a turn, so that updates never wait.
// Entries with an empty value are left out: to a Clone client an empty value means no entry.
// Pure: what is sent goes through a callback. Not thread-safe.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/clock.h"
#include "core/keyspace/tree.h"
#include "proxy/mirror_lease.h"
#include "proxy/peers.h"

namespace canopy::proxy {

// The state under a prefix at one moment: everything with a stamp up to `stamp`.
struct Cut {
  std::int64_t stamp = 0;
  std::vector<keyspace::TreeView> views{};  // one for each partition that the prefix touches
};

enum class Delivery { sent, blocked, gone };

class Snapshots {
 public:
  static constexpr std::size_t entries_per_turn =
      2000;  // sent or left out; the end of a partition is one
  static constexpr std::size_t entries_at_a_time = 250;  // of one snapshot, before the next's turn
  // A client that takes nothing for this long is given up.
  static constexpr base::Duration patience = std::chrono::seconds(30);

  struct Sink {
    std::function<Delivery(PeerId peer, const keyspace::Update& entry, std::int64_t stamp)> entry;
    std::function<Delivery(PeerId peer, const std::string& prefix, std::int64_t stamp)> end;
    // How it went ("sent", "client_gone", "timeout") and how long it took.
    std::function<void(PeerId peer, const char* result, base::Duration took)> finished;
  };

  // One at a time for each client, so that its snapshots arrive one after another.
  void open(PeerId peer, std::string prefix, const Cut& cut, base::TimePoint now,
            MirrorLease lease = {});
  // Forgets those of this client.
  void drop(PeerId peer) {
    if (peers_.erase(peer) == 0) return;
    std::erase_if(sessions_, [&](const Session& session) { return session.peer == peer; });
  }
  // Sends up to entries_per_turn entries. True when more could be sent at once; false when nothing
  // is left or every client is blocked.
  bool send(const Sink& sink, base::TimePoint now);

  bool serves(PeerId peer) const { return peers_.contains(peer); }
  std::size_t size() const { return sessions_.size(); }
  // Those whose client takes what it is sent.
  std::size_t active() const {
    return static_cast<std::size_t>(std::ranges::count(sessions_, false, &Session::blocked));
  }

 private:
  struct Session {
    PeerId peer;
    std::string prefix;
    std::int64_t stamp;
    std::deque<keyspace::TreeView::Cursor> cursors;  // the first is the one being sent
    base::TimePoint began;
    base::TimePoint moved;
    MirrorLease lease;
    bool blocked = false;  // its client had no room when it was last tried
  };
  enum class Progress { more, blocked, finished };

  Progress advance(Session& session, const Sink& sink, base::TimePoint now, std::size_t& looked_at);
  Progress after(Delivery delivery, Session& session, const Sink& sink, base::TimePoint now);

  Progress finish(const char* result, const Session& session, const Sink& sink,
                  base::TimePoint now);

  std::deque<Session> sessions_;  // the front is served next
  std::unordered_set<PeerId> peers_;
};

}  // namespace canopy::proxy
