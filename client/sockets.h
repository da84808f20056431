// The connections of a session over sockets: sends the session's frames and passes it the frames
// that arrive. Belongs to the loop's thread, and may be destroyed between two of its handlers.
#pragma once

#include <optional>
#include <string>

#include "client/link.h"
#include "client/network.h"
#include "client/session.h"

namespace canopy::client {

class Sockets final : public Network {
 public:
  // `server` and `keys` as for Link; `session`, which may be made later, is used once something
  // arrives.
  Sockets(net::Connections& server, Session& session,
          const std::optional<access::ClientKeys>& keys);

  // Starts the session, and its ticks.
  void start();

  // An invalid endpoint is treated like one where no process listens: the session times out.
  void connect(const Target& target) override { (void)proxy_.connect(target.endpoint); }
  void disconnect() override { proxy_.disconnect(); }
  void send(std::string frame) override { proxy_.send(std::move(frame)); }
  void ask_broker(const std::string& endpoint, std::string frame) override;
  void leave_broker() override { broker_.disconnect(); }

 private:
  base::TimePoint now() const { return loop_.now(); }

  net::Loop& loop_;
  Session& session_;
  Link proxy_, broker_;
};

}  // namespace canopy::client
