#include "loadtest/measure/session_client.h"

#include <random>
#include <utility>

#include "core/wire/native.h"

namespace canopy::measure {

SessionClient::SessionClient(net::Connections& server, client::Settings settings,
                             const std::optional<access::ClientKeys>& keys)
    : loop_(server.loop()),
      session_(std::move(settings), sockets_, *this),
      sockets_(server, session_, keys) {}

std::string random_client_id() {
  std::random_device random;
  std::string id;
  while (id.size() < wire::native::client_id_bytes) id += static_cast<char>(random());
  return id;
}

}  // namespace canopy::measure
