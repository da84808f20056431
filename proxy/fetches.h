// The fetches of native clients: each the state of a subtree at one cut of the mirrors, or what
// changed since the revisions that its client knows, in chunks under the client's credit, a bounded
// amount a turn, so that updates never wait.
//
// A fetch waits until its partitions are mirrored and have reached what its client knows: nobody
// who resumes here is taken back in time.
// Pure: time is an argument, what is sent goes through callbacks. Not thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/wire/native.h"
#include "proxy/partitions.h"
#include "proxy/peers.h"
#include "proxy/streams.h"

namespace canopy::proxy {

class Fetches {
 public:
  static constexpr std::size_t max_waiting = 100'000;
  static constexpr std::size_t max_per_client = 64;
  static constexpr std::size_t chunks_per_turn = 16;
  static constexpr std::size_t entries_per_chunk = 20'000;  // looked at, whether told or not
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
  // or for room in its queue, are not counted.
  Fetches(const Partitions& partitions, const Streams& streams, std::size_t max_active)
      : partitions_(partitions), streams_(streams), max_active_(max_active) {}

  // Replaces an earlier fetch of the same client for the same stream.
  wire::Fault open(PeerId peer, wire::native::Fetch fetch, base::TimePoint now);
  void credit(PeerId peer, const wire::native::Credit& credit);
  // Forgets what this client has asked for; how many fetches that were.
  std::size_t drop(PeerId peer);

  // Sends what can be sent. True when more could be at once.
  bool serve(base::TimePoint now, const Sink& sink);

  std::size_t size() const { return waiting_.size() + active_.size(); }

 private:
  using Mode = wire::native::ChunkHeader::Mode;
  struct Part {
    std::size_t partition = 0;
    Mode mode = Mode::full;
    keyspace::Revision since{};
    keyspace::Revision revision{};
    std::vector<keyspace::UpdatePtr> deletions{};
    std::size_t next_deletion = 0;
    keyspace::TreeView::Cursor cursor{};
  };
  struct Session {
    PeerId peer = 0;
    wire::native::Fetch fetch{};
    base::TimePoint began{};
    base::TimePoint moved{};
    Streams::Cut cut{};
    std::deque<Part> parts{};
    std::uint32_t next_chunk = 0;
    std::string unsent{};  // a chunk that the client had no room for
  };
  using Sessions = std::list<Session>;
  enum class Progress { more, stuck, finished };

  // Whether the mirrors can answer now.
  enum class Readiness { ready, behind, absent };
  Readiness readiness(const wire::native::Fetch& fetch) const;
  void start_waiting(base::TimePoint now, const Sink& sink);
  bool begin(Session& session, base::TimePoint now, const Sink& sink);
  Part part_of(const wire::native::Fetch& fetch, std::size_t partition) const;
  Progress advance(Session& session, base::TimePoint now, const Sink& sink);
  std::string fill(Session& session) const;
  // Of this peer.
  std::size_t drop_if(PeerId peer, const std::function<bool(const Session& session)>& matches);
  void forget(PeerId peer);

  const Partitions& partitions_;
  const Streams& streams_;
  std::size_t max_active_;
  Sessions waiting_;
  Sessions active_;  // the front is served next
  std::map<PeerId, std::size_t> per_client_;
};

}  // namespace canopy::proxy
