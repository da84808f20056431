// Key files in the format of ZeroMQ's certificates (ZPL, RFC 4), as czmq and pyzmq's zmq.auth
// read and write it: NAME.key holds a public key, NAME.key_secret both keys.
//
// No secret appears in a log line or an error.
#pragma once

#include <string>

#include "core/access/keys.h"
#include "core/base/result.h"

namespace canopy::keys {

// Of either file.
base::Result<std::string> read_public_key(const std::string& path);
// A public key as users give it: such a file, at `path`, or the key itself. If the text looks like
// a key and a file of that name exists, the file counts.
base::Result<std::string> public_key_of(const std::string& text, const std::string& path);
inline base::Result<std::string> public_key_of(const std::string& text) {
  return public_key_of(text, text);
}
// An error if a secret file does not exist, or users other than its owner may read or write it.
base::Status check_private(const std::string& path);
// Requires that check_private() accepts the file.
base::Result<access::KeyPair> read_key_pair(const std::string& path);
// Writes DIRECTORY/NAME.key and, readable by its owner alone, DIRECTORY/NAME.key_secret; refuses to
// overwrite either.
base::Status write_key_files(const std::string& directory, const std::string& name,
                             const access::KeyPair& pair);

}  // namespace canopy::keys
