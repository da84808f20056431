// The fetches of native clients: each the state of a subtree at one cut of the mirrors, or what
// changed since the revisions that its client knows, in chunks under the client's credit. A turn
// looks at a bounded number of entries and deletions, told or not, so that updates never wait; a
// chunk may take several turns to fill.
//
// A fetch waits until its partitions are mirrored and have reached what its client knows: nobody
// who resumes here is taken back in time.
// Pure: time is an argument, what is sent goes through callbacks. Not thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/keyspace/tombstones.h"
#include "core/keyspace/tree.h"
#include "core/wire/native.h"
#include "proxy/byte_budget.h"
#include "proxy/mirror_lease.h"
#include "proxy/partitions.h"
#include "proxy/peers.h"
#include "proxy/streams.h"

namespace canopy::proxy {

class Fetches {
 public:
  static constexpr std::size_t max_waiting = 100'000;
  static constexpr std::size_t max_per_client = 64;
  // What fetches take, with the revisions that their clients know, until they are answered. Only
  // revisions of the subtree's partitions are kept.
  static constexpr std::size_t max_bytes = std::size_t{64} << 20;
  static constexpr std::size_t max_bytes_per_client = std::size_t{8} << 20;
  static constexpr std::size_t chunks_per_turn = 8;
  // Entries and deletions looked at, whether told or not: in one turn, by all fetches together, and
  // for one chunk, so that a client whose answer holds little still hears of it.
  static constexpr std::size_t entries_per_turn = 2'000;
  static constexpr std::size_t entries_per_chunk = 20'000;
  // Partitions asked in one turn whether they can answer fetches that wait.
  static constexpr std::size_t partitions_per_turn = 4'096;
  // How long a mirror may take to reach what a client knows before all of it is sent anew, how long
  // to be there at all, and how long a client may leave chunks untaken.
  static constexpr base::Duration catch_up = std::chrono::seconds(2);
  static constexpr base::Duration patience = std::chrono::seconds(10);

  enum class Delivery { sent, blocked, gone };
  struct Sink {
    std::function<Delivery(PeerId peer, std::string frame)> send;
    std::function<void(PeerId peer, std::uint64_t request, wire::Fault fault, std::string_view why)>
        refuse;
    // "sent", "timeout", "unavailable" or "client_gone".
    std::function<void(const char* result, base::Duration took)> finished;
    // A client that knew something is told what changed (true), or everything.
    std::function<void(bool changes)> resynced;
  };

  // At most `max_active` are answered at a time; those that wait for their client, for its credit
  // (parked) or for room in its queue, are not counted.
  Fetches(const Partitions& partitions, const Streams& streams, std::size_t max_active)
      : partitions_(partitions), streams_(streams), max_active_(max_active) {}

  // Replaces an earlier fetch of the same client for the same stream.
  wire::Fault open(PeerId peer, wire::native::Fetch fetch, base::TimePoint now,
                   MirrorLease lease = {});
  void credit(PeerId peer, const wire::native::Credit& credit);
  // Forgets what this client has asked for; how many fetches that were.
  std::size_t drop(PeerId peer);

  // Sends what can be sent. True when more could be at once.
  bool serve(base::TimePoint now, const Sink& sink);

  std::size_t bytes() const { return budget_.bytes(); }
  std::size_t size() const { return waiting_.size() + active_.size() + parked_.size(); }
  // Entries and deletions so far.
  std::uint64_t looked_at() const { return looked_at_; }

 private:
  using Mode = wire::native::ChunkHeader::Mode;
  struct Part {
    std::size_t partition = 0;
    Mode mode = Mode::full;
    // Says only that what the client knows of the partition is of another history.
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
    std::size_t looked_at = 0;
  };
  struct Session;
  using Sessions = std::list<Session>;
  struct Session {
    PeerId peer = 0;
    wire::native::Fetch fetch{};
    base::TimePoint began{};
    base::TimePoint moved{};
    MirrorLease lease{};
    Sessions* in = nullptr;  // waiting_, active_ or parked_
    Streams::Cut cut{};
    std::deque<Part> parts{};
    std::uint32_t next_chunk = 0;
    Filling filling{};
    std::string unsent{};  // a chunk that the client had no room for
    ByteBudget<PeerId>::Share share{};
    bool resumes = false;  // its client said that it knows something
  };
  enum class Progress { sent, turn_over, stuck, finished };

  void keep_relevant(wire::native::Fetch& fetch) const;
  // Whether the mirrors can answer now.
  enum class Readiness { ready, behind, absent };
  Readiness readiness(const wire::native::Fetch& fetch,
                      const std::vector<std::size_t>& partitions) const;
  void start_waiting(base::TimePoint now, const Sink& sink);
  bool begin(Session& session, const std::vector<std::size_t>& partitions, base::TimePoint now,
             const Sink& sink);
  void add_parts(Session& session, std::size_t partition) const;
  Part part_of(const wire::native::Fetch& fetch, std::size_t partition) const;
  void give_up_parked(base::TimePoint now, const Sink& sink);
  Progress advance(Session& session, std::size_t& budget, base::TimePoint now, const Sink& sink);
  bool fill(Session& session, std::size_t& budget);
  std::string encode_filled(Session& session, bool last_of_part) const;
  static void move(Sessions::iterator session, Sessions& to);
  void end(Sessions::iterator session);

  const Partitions& partitions_;
  const Streams& streams_;
  std::size_t max_active_;
  ByteBudget<PeerId> budget_{max_bytes, max_bytes_per_client};
  Sessions waiting_;
  Sessions active_;  // the front is served next
  Sessions parked_;  // for the longest time first
  std::unordered_map<PeerId, std::vector<Sessions::iterator>> by_client_;
  std::uint64_t looked_at_ = 0;
};

}  // namespace canopy::proxy
