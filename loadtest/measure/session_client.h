// A session of client/ with its sockets. A derived class handles the events that it needs; the
// others are ignored. Belongs to the thread of its loop, which outlives it.
#pragma once

#include <optional>
#include <string>

#include "client/session.h"
#include "client/sockets.h"
#include "core/net/loop.h"

namespace canopy::measure {

class SessionClient : protected client::Events {
 public:
  SessionClient(net::Connections& server, client::Settings settings,
                const std::optional<access::ClientKeys>& keys = {});
  void start() { sockets_.start(); }

 protected:
  net::Loop& loop() { return loop_; }
  client::Session& session() { return session_; }

  void changed(client::WatchId, const client::Change&) override {}
  void synced(client::WatchId, const client::Synced&) override {}
  void missed(client::WatchId, std::optional<std::uint64_t>) override {}
  void refused(client::WatchId, const client::Answer&) override {}
  void contact(bool) override {}
  void answered(client::CallId, client::Answer) override {}

 private:
  net::Loop& loop_;
  client::Session session_;
  client::Sockets sockets_;
};

// Settings::client of a session that no other session has.
std::string random_client_id();

}  // namespace canopy::measure
