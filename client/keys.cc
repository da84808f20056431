#include "client/keys.h"

#include "core/keys/key_file.h"

namespace canopy::client {

base::Result<access::ClientKeys> read_keys(const std::string& own, const std::string& server) {
  auto pair = keys::read_key_pair(own);
  if (!pair) return base::Error{pair.error()};
  auto server_key = keys::public_key_of(server);
  if (!server_key) return base::Error{server_key.error()};
  return access::ClientKeys{.server_key = std::move(*server_key), .own = std::move(*pair)};
}

}  // namespace canopy::client
