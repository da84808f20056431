#include "client/sockets.h"

#include <utility>

namespace canopy::client {

Sockets::Sockets(net::Connections& server, Session& session,
                 const std::optional<access::ClientKeys>& keys)
    : loop_(server.loop()),
      session_(session),
      proxy_(server, keys,
             {.on_frame = [this](std::string_view frame) { session_.on_message(frame, now()); },
              .on_lost = [this] { session_.on_disconnected(now()); }}),
      broker_(server, keys,
              {.on_frame = [this](std::string_view frame) { session_.on_broker(frame, now()); }}) {}

void Sockets::start() {
  constexpr auto period = std::chrono::milliseconds(50);
  loop_.every(period, [this] { session_.tick(now()); });
  session_.start(now());
}

void Sockets::ask_broker(const std::string& endpoint, std::string frame) {
  (void)broker_.connect(endpoint);
  broker_.send(std::move(frame));
}

}  // namespace canopy::client
