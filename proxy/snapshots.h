// The snapshots being sent to the clients of one dialect: each an exact cut of the mirror, sent as
// fast as its client takes it, a bounded number of entries a turn, so that updates never wait.
// Entries with an empty value are left out: to a Clone client an empty value means no entry.
// Pure: what is sent goes through a callback. Not thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/keyspace/tree.h"

namespace canopy::proxy {

// The state under a prefix at one moment: everything with a stamp up to `stamp`.
struct Cut {
  std::int64_t stamp = 0;
  std::vector<keyspace::TreeView> views{};  // one for each partition that the prefix touches
};

enum class Delivery { sent, blocked, gone };

class Snapshots {
 public:
  static constexpr std::size_t entries_per_turn = 2000;  // sent or left out
  static constexpr std::size_t entries_at_a_time = 250;  // of one snapshot, before the next's turn
  // A client that takes nothing for this long is given up.
  static constexpr base::Duration patience = std::chrono::seconds(30);

  struct Sink {
    std::function<Delivery(const std::string& peer, const keyspace::Update& entry,
                           std::int64_t stamp)>
        entry;
    std::function<Delivery(const std::string& peer, const std::string& prefix, std::int64_t stamp)>
        end;
    // How it went ("sent", "client_gone", "timeout") and how long it took.
    std::function<void(const char* result, base::Duration took)> finished;
  };

  void open(std::string peer, std::string prefix, const Cut& cut, base::TimePoint now);
  // Forgets those of this client.
  void drop(const std::string& peer) {
    std::erase_if(sessions_, [&](const Session& session) { return session.peer == peer; });
  }
  // Sends up to entries_per_turn entries. True when more could be sent at once; false when nothing
  // is left or every client is blocked.
  bool send(const Sink& sink, base::TimePoint now);

  std::size_t size() const { return sessions_.size(); }

 private:
  struct Session {
    std::string peer;
    std::string prefix;
    std::int64_t stamp;
    std::vector<keyspace::TreeView::Cursor> cursors;  // the first is the one being sent
    base::TimePoint began;
    base::TimePoint moved;
  };
  enum class Progress { more, blocked, finished };

  static Progress advance(Session& session, const Sink& sink, base::TimePoint now,
                          std::size_t& sent);
  static Progress after(Delivery delivery, Session& session, const Sink& sink, base::TimePoint now);

  std::deque<Session> sessions_;  // the front is served next
};

}  // namespace canopy::proxy
