// Sends Clone subscribers the keys that changed between their snapshot and their subscription:
// present values and deletions. Opens no socket. Belongs to the node's loop.
//
// A subscription that arrives after a remembered cut gets the changes since, on its connection
// alone, under new stamps. Clients accept updates that are newer than their snapshot. Each value is
// read when it is sent, after everything with a lower stamp: no older value follows a newer one. A
// turn examines a bounded number of entries.
//
// Limits. After a change of leaders no revision tells what changed: the whole partition is sent.
// A mirror knows the last 100,000 deletions; a new leader may know fewer. Deletions that the mirror
// does not know are not sent. A partition without retained state has nothing to send.
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
  // Entries examined, whether sent or not.
  static constexpr std::size_t entries_per_turn = 2000;
  // For one connection, before the next connection's turn.
  static constexpr std::size_t entries_at_a_time = 250;

  CloneCatchUps(wire::clone::Dialect dialect, Backend& backend, RecentCuts& cuts,
                std::size_t high_water)
      : dialect_(dialect), backend_(backend), cuts_(cuts), high_water_(high_water) {}

  // The connection has just subscribed to the prefix.
  void begin(net::Connection& connection, std::string_view prefix);
  void end(const net::Connection& connection) { sessions_.erase(connection.id()); }
  void on_drained(const net::Connection& connection);
  // A partition has been split. A catch-up that covers it begins anew, for both parts.
  void divide(std::size_t whole, std::size_t part);

  // Call only when all updates so far have been sent. Returns after how long to call again.
  std::optional<base::Duration> serve();

  // Connections with a catch-up under way.
  std::size_t size() const { return sessions_.size(); }
  std::uint64_t examined() const { return examined_; }

 private:
  // By partition: the subscriber gets the changes after this cut.
  using Since = std::map<std::size_t, RecentCuts::Cut>;
  struct Walk {
    std::vector<std::string> prefixes{};  // sorted, none of them a prefix of another
    Since since{};
    Since::const_iterator deletions_of{};  // the partition whose deletions are being sent
    std::optional<keyspace::Tombstones::Deletions> deletions{};
    std::size_t prefix = 0;                               // index of the prefix that is being sent
    std::vector<std::size_t> partitions{};                // still to examine for this prefix
    std::optional<keyspace::TreeView::Cursor> entries{};  // of the last of these
  };
  struct Session {
    explicit Session(net::Connection& own) : connection(&own) {}
    net::Connection* connection;
    // Subscribed to since the present walk began.
    std::vector<std::string> prefixes{};
    Since since{};
    std::optional<Walk> walk{};
    Room room = Room::available;
    bool queued = false;  // in turns_
  };
  enum class Progress { more, waits, done };

  void queue(std::uint64_t id, Session& session);
  Progress advance(Session& session, std::size_t& budget);
  static void start(Session& session);
  // False when there was nothing to examine.
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
