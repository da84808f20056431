// What Clone subscribers are told because it changed between their snapshot and their subscription:
// the present values of the keys that did, and what was deleted (DESIGN, "Joining is exact").
// Tested without sockets. Belongs to the node's loop.
//
// A subscription that comes after a remembered cut is told of whatever changed since, on its
// connection alone, under new stamps: clients take what is newer than their snapshot. Each value is
// read when it is sent, and everything with a lower stamp has been sent by then, so that no older
// value follows a newer one. A turn looks at a bounded number of entries.
//
// After a change of leaders no revision says what has changed: all of the partition is sent.
// Nothing is told of a deletion that the mirror does not know any more. It knows the last 100,000,
// and cuts are remembered for ten seconds only; but with a new leader the earlier ones may be gone.
// Of a partition that keeps no state nothing can be told at all.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/net/connection.h"
#include "core/wire/clone.h"
#include "proxy/frontend.h"
#include "proxy/recent_cuts.h"
#include "proxy/room.h"

namespace canopy::proxy {

class CloneCatchUps {
 public:
  // Looked at, whether they are sent or not.
  static constexpr std::size_t entries_per_turn = 2000;
  static constexpr std::size_t entries_at_a_time =
      250;  // of one connection, before the next's turn

  CloneCatchUps(wire::clone::Dialect dialect, Backend& backend, RecentCuts& cuts,
                std::size_t high_water)
      : dialect_(dialect), backend_(backend), cuts_(cuts), high_water_(high_water) {}

  // The connection has just subscribed to the prefix.
  void begin(net::Connection& connection, std::string_view prefix);
  void end(const net::Connection& connection) { sessions_.erase(connection.id()); }
  void on_drained(const net::Connection& connection);
  // A partition has been split. Who is being told of it is told anew, of both.
  void divide(std::size_t whole, std::size_t part);

  // Only when all updates so far have been sent. How long until it wants to be called again.
  std::optional<base::Duration> serve();

  // Connections that are not told everything yet.
  std::size_t size() const { return sessions_.size(); }
  std::uint64_t examined() const { return examined_; }

 private:
  // By partition: what the subscriber has to be told of comes after.
  using Since = std::map<std::size_t, RecentCuts::Cut>;
  struct Walk {
    std::vector<std::string> prefixes{};  // sorted, none of them a prefix of another
    Since since{};
    Since::const_iterator deletions_of{};  // the partition whose deletions are being told
    std::optional<keyspace::Tombstones::Deletions> deletions{};
    std::size_t prefix = 0;                 // the one whose entries are being told
    std::vector<std::size_t> partitions{};  // that may hold some, and are left to look at
    std::optional<keyspace::TreeView::Cursor> entries{};  // of the last of these
  };
  struct Session {
    explicit Session(net::Connection& own) : connection(&own) {}
    net::Connection* connection;
    // Subscribed to since the walk under way has begun.
    std::vector<std::string> prefixes{};
    Since since{};
    std::optional<Walk> walk{};
    Room room = Room::here;
    bool queued = false;  // in turns_
  };
  enum class Progress { more, waits, done };

  void queue(std::uint64_t id, Session& session);
  Progress advance(Session& session, std::size_t& budget);
  static void start(Session& session);
  // Whether there was something to look at.
  bool send_deletion(Session& session);
  bool send_entry(Session& session, std::size_t& budget);
  bool next_partition(Walk& walk, std::size_t& budget);
  bool ready(const Walk& walk) const;
  keyspace::Revision since(const Walk& walk, std::size_t partition) const;
  void send(net::Connection& connection, const keyspace::Update& update);

  wire::clone::Dialect dialect_;
  Backend& backend_;
  RecentCuts& cuts_;
  std::size_t high_water_;                               // of the connections
  std::unordered_map<std::uint64_t, Session> sessions_;  // by connection
  std::deque<std::uint64_t> turns_;                      // whose turn it is next
  std::uint64_t examined_ = 0;
};

}  // namespace canopy::proxy
