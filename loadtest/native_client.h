// A native client: a session of client/ on its worker's loop, whose events it checks and counts.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "client/events.h"
#include "client/session.h"
#include "client/sockets.h"
#include "loadtest/load_client.h"
#include "loadtest/own_writes.h"

namespace canopy::loadtest {

// Client `id` prefers proxy `id` modulo their number; its session knows the others for failover.
// Each incarnation of a client has another client id.
client::Settings native_settings(const Target& target, std::uint64_t run, std::uint32_t id,
                                 std::uint32_t incarnation);

class NativeClient final : public LoadClient, private client::Events {
 public:
  NativeClient(std::uint32_t id, std::uint32_t tag, Context& context);

  base::Status join(std::int64_t now_us) override;
  void tick(std::int64_t now_us) override;
  bool publish() override;
  void leave() override;
  std::size_t unanswered() const override { return own_.open(); }
  std::uint32_t last_applied() const override { return own_.last_applied(); }
  std::vector<std::uint32_t> unacknowledged() const override { return own_.unacknowledged(); }
  void add_results(Faults& faults, ClientStats& stats) const override;

 private:
  struct Engine {
    Engine(Context& context, client::Settings settings, client::Events& events)
        : sockets(context.server, session, context.target.keys),
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

  const std::uint32_t run_;         // run_of() the run
  std::unique_ptr<Engine> engine_;  // of this incarnation
  std::uint64_t writes_sent_ = 0;   // by earlier incarnations
  OwnWrites own_;
  std::int64_t asked_us_ = 0;
  std::vector<std::uint32_t> written_;  // acknowledged updates that the snapshot must hold
};

}  // namespace canopy::loadtest
