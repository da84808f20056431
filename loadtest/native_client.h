// One native client: a session of client/ on its worker's loop, whose events are accounted for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "client/events.h"
#include "client/session.h"
#include "client/sockets.h"
#include "loadtest/own_writes.h"
#include "loadtest/participant.h"

namespace canopy::loadtest {

// The settings of a session whose first choice among the target's proxies is the client's own,
// dealt in turn; the others are there to go to. `life`: no two lives of a client are one to the
// cluster.
client::Settings native_settings(const Target& target, std::uint64_t run, std::uint32_t id,
                                 std::uint32_t life);

class NativeClient final : public Participant, private client::Events {
 public:
  NativeClient(std::uint32_t id, std::uint32_t tag, Workplace& place);

  base::Status join(std::int64_t now_us) override;
  void tick(std::int64_t now_us) override;
  bool publish() override;
  void leave() override;
  std::size_t unanswered() const override { return own_.open(); }
  std::uint32_t last_update() const override { return own_.last_applied(); }
  std::vector<std::uint32_t> doubtful() const override { return own_.doubtful(); }
  void conclude(Faults& faults, Told& told) const override;

 private:
  struct Engine {
    Engine(Workplace& place, client::Settings settings, client::Events& events)
        : sockets(place.server, session, place.target.keys),
          session(std::move(settings), sockets, events) {}

    client::Sockets sockets;
    client::Session session;
  };

  void changed(client::WatchId watch, const client::Change& change) override;
  void synced(client::WatchId watch, const client::Synced& synced) override;
  void missed(client::WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(client::WatchId watch, const client::Answer& why) override;
  void contact(bool present) override;
  void answered(client::CallId call, client::Answer answer) override;
  void on_foreign(const client::Change& change);

  const std::uint32_t run_;         // as stamps have it
  std::unique_ptr<Engine> engine_;  // of this life
  std::uint64_t writes_sent_ = 0;   // in earlier ones
  OwnWrites own_;
  std::int64_t asked_us_ = 0;
  std::vector<std::uint32_t> written_;  // what the snapshot under way must hold
};

}  // namespace canopy::loadtest
