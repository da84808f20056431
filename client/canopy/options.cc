#include <canopy/types.h>

#include <stdexcept>

#include "client/keys.h"

namespace canopy {

Options& Options::use_keys(const std::string& own, const std::string& server) {
  auto keys = client::read_keys(own, server);
  if (!keys) throw std::invalid_argument("canopy: " + keys.error());
  server_key = std::move(keys->server_key);
  public_key = std::move(keys->own.public_key);
  secret_key = std::move(keys->own.secret_key);
  return *this;
}

}  // namespace canopy
