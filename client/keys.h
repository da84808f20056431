// Reads the keys of a client from files. Reads files; keeps nothing. core/keys/key_file.h has the
// format.
#pragma once

#include <string>

#include "core/access/keys.h"
#include "core/base/result.h"

namespace canopy::client {

// `own` is the client's NAME.key_secret; `server` the cluster's public key, or a file that holds
// it.
base::Result<access::ClientKeys> read_keys(const std::string& own, const std::string& server);

}  // namespace canopy::client
