// Answers the watches, lists and gets of native clients from one cut of the mirrors. A client gets
// the state of a subtree, or the changes since its own revisions, in chunks as its queue has room.
// Pure: time is an argument, replies go to net::Connection. Not thread-safe. Connections outlive
// their requests: drop() ends these. Format of the chunks: core/wire/native.h.
//
// A request waits until its partitions are mirrored and have reached the revisions of its client:
// no client goes back in time. Then the client waits until fewer than `max_served` are served.
// Clients take turns, and so do the requests of one client. A client with a full queue leaves its
// turn until the queue has drained. A turn examines a bounded number of entries and deletions, so
// that updates never wait. A chunk may take several turns to fill.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/net/connection.h"
#include "core/wire/native.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"

namespace canopy::proxy {

class CatchUps {
 public:
  // Bytes of the revisions that clients know, of requests that have not ended.
  static constexpr std::size_t max_known_bytes = std::size_t{64} << 20;
  static constexpr std::size_t max_known_bytes_per_client = std::size_t{8} << 20;
  static constexpr std::size_t max_requests = 1'000'000;
  // Requests of one client between cut and end: each holds the updates since its cut.
  static constexpr std::size_t max_cuts_per_client = 4;
  // Entries and deletions examined, whether sent or not: by all requests in one turn, and for one
  // chunk. A client whose answer holds little still gets a chunk within this bound.
  static constexpr std::size_t entries_per_turn = 2'000;
  static constexpr std::size_t entries_per_chunk = 20'000;
  static constexpr std::size_t bytes_per_turn = std::size_t{2} << 20;
  // Partitions examined in one turn for requests that begin.
  static constexpr std::size_t partitions_per_turn = 4'096;
  // A mirror that has not reached the revisions of a client within `lag_timeout` is sent in full.
  // A request whose mirror does not exist within `mirror_timeout` is refused.
  static constexpr base::Duration lag_timeout = std::chrono::seconds(2);
  static constexpr base::Duration mirror_timeout = std::chrono::seconds(10);

  using Kind = wire::native::Kind;  // watch, list or get
  struct Request {
    Kind kind = Kind::list;
    std::uint64_t number = 0;  // no other request of its connection has it
    std::string subtree{};     // or key
    std::vector<Known> known{};
    std::uint64_t limit = 0;  // entries after which a list may stop; 0: none
    bool resumes = false;     // the client has named revisions
    MirrorLease lease{};
  };

  class Owner {
   public:
    // The cut of a watch is made; it holds the updates that its stream has gathered. May send.
    virtual void on_cut(net::Connection& connection, std::uint64_t number) = 0;
    // The whole answer is sent. `has`: the revisions that the client of a watch now has.
    virtual void on_sent(net::Connection& connection, Kind kind, std::uint64_t number,
                         std::vector<Known> has, base::Duration took) = 0;
    // A mirror did not exist within `mirror_timeout`; nothing is sent.
    virtual void on_unavailable(net::Connection& connection, Kind kind, std::uint64_t number) = 0;
    // A client that named revisions gets the changes since, or else the full state.
    virtual void on_resync(bool changes) = 0;

   protected:
    ~Owner() = default;
  };

  struct Settings {
    std::size_t max_served = 64;  // clients at the same time
    // Queued bytes from which a connection gets no chunk before drained() is called for it.
    std::size_t full_bytes = std::size_t{256} << 10;
    std::size_t chunk_bytes = base::max_chunk_bytes;
  };

  CatchUps(const Partitions& partitions, Settings settings, Owner& owner)
      : partitions_(partitions), settings_(settings), owner_(owner) {}

  // Ignores `known` revisions of partitions outside the subtree. Refuses a subtree that no
  // partition has.
  wire::Fault open(net::Connection& connection, Request request, base::TimePoint now);
  // The next round of a watch whose last round has ended; never refused.
  void reopen(net::Connection& connection, Request request, base::TimePoint now);
  bool contains(const net::Connection& connection, std::uint64_t number) const {
    return find(connection, number) != nullptr;
  }
  // The partition has a new history: the answer voids the client's revision of it. `surely`: also
  // where the client named no revision of it.
  void renew(const net::Connection& connection, std::uint64_t number, std::size_t partition,
             bool surely);
  void drop(const net::Connection& connection, std::uint64_t number);
  // Forgets all requests of this connection; returns their number.
  std::size_t drop(const net::Connection& connection);
  // The connection's queue has room again.
  void drained(const net::Connection& connection);

  // Sends chunks within the bounds of a turn. True when it could send more at once.
  bool serve(base::TimePoint now);
  // When the next request that waits for mirrors times out.
  std::optional<base::TimePoint> next_deadline() const;

  std::size_t known_bytes() const { return known_bytes_; }
  std::size_t size() const { return size_; }
  // Entries and deletions so far.
  std::uint64_t examined() const { return examined_; }

 private:
  using Mode = wire::native::ChunkHeader::Mode;
  struct Part {
    std::size_t partition = 0;
    Mode mode = Mode::full;
    // Tells the client only that its revision of the partition is of another history.
    bool voids = false;
    keyspace::Revision since{};
    keyspace::Revision revision{};
    std::optional<keyspace::TreeView> view{};
    keyspace::TreeView::Cursor cursor{};
    keyspace::Tombstones::Deletions deletions{};
  };
  // A chunk that is being filled.
  struct Filling {
    std::string entries{};
    std::uint32_t count = 0;
    std::size_t examined = 0;
  };
  struct Client;
  struct Session;
  using Sessions = std::list<Session>;
  using Waiting = std::multimap<keyspace::Revision, Session*>;
  using Deadlines = std::multimap<base::TimePoint, Session*>;
  struct Session {
    Client* client = nullptr;
    Request request{};
    std::size_t known_bytes = 0;  // until the cut
    base::TimePoint began{};
    Sessions* in = nullptr;  // of the client
    Sessions::iterator self{};
    // While it waits for a mirror.
    std::size_t waits_for = 0;
    Waiting::iterator waiting{};
    Deadlines::iterator deadline{};
    // Since the cut.
    std::deque<Part> parts{};
    std::vector<Known> has{};
    Filling filling{};
    std::uint64_t sent_entries = 0;
  };
  // `queued`: waits until fewer than `max_served` are served. `full`: waits for drained().
  enum class Turn { none, queued, served, full };
  struct Client {
    net::Connection* connection = nullptr;
    std::size_t known_bytes = 0;
    std::unordered_map<std::uint64_t, Session*> by_number{};
    Sessions ready{};    // to begin, the first comes next
    Sessions waiting{};  // for mirrors
    Sessions cut{};      // the first is served next
    Turn turn = Turn::none;
    std::list<Client*>::iterator place{};  // in queued_ or served_
  };

  void add(Client& client, Request request, base::TimePoint now);
  Client& client_of(net::Connection& connection);
  Session* find(const net::Connection& connection, std::uint64_t number) const;
  static void move(Session& session, Sessions& to);
  void end(Session& session);
  void forget_known(Session& session);
  void want_turn(Client& client);
  void leave_turn(Client& client, Turn turn);

  bool reached(std::size_t partition, keyspace::Revision least) const;
  void wait(Session& session, std::size_t partition, keyspace::Revision least,
            base::TimePoint deadline);
  void stop_waiting(Session& session);
  void wake(base::TimePoint now);

  bool serve(Client& client, base::TimePoint now);
  void start(Session& session, base::TimePoint now);
  void cut(Session& session, std::vector<std::size_t> partitions);
  Part part_of(const Session& session, std::size_t partition) const;
  void finish(Session& session, base::TimePoint now, bool sent);
  bool advance(Session& session, base::TimePoint now);
  std::optional<bool> fill(Session& session);
  void send_filled(Session& session, bool last_of_part);
  void charge(std::size_t bytes);

  const Partitions& partitions_;
  Settings settings_;
  Owner& owner_;
  std::size_t known_bytes_ = 0;
  std::unordered_map<std::uint64_t, Client> clients_;  // by connection; each has requests
  std::list<Client*> served_;                          // the first is served next
  std::list<Client*> queued_;                          // wait to be served
  std::map<std::size_t, Waiting> waiting_;             // by partition; none empty
  Deadlines deadlines_;
  std::size_t size_ = 0;
  // What is left of this turn.
  std::size_t entries_left_ = 0;
  std::size_t partitions_left_ = 0;
  std::size_t bytes_left_ = 0;
  std::uint64_t examined_ = 0;
};

}  // namespace canopy::proxy
