#include "client/cli/keygen.h"

#include <filesystem>

#include "client/cli/output.h"
#include "core/access/keys.h"
#include "core/keys/key_file.h"

namespace canopy::client::cli {

Exit keygen(const Command& command) {
  std::error_code failed;
  std::filesystem::create_directories(command.directory, failed);
  if (failed) return fail(Exit::broken, command.directory + ": " + failed.message());
  const auto written =
      keys::write_key_files(command.directory, command.subject, access::make_key_pair());
  if (!written) return fail(Exit::broken, written.error());
  const std::string path = (std::filesystem::path(command.directory) / command.subject).string();
  return print_result(
      path + ".key_secret  for " + command.subject +
      " alone: `server_key` in the file of a cluster, --key of a client\n" + path +
      ".key         for the others: `public_key` of a client in that file, --server-key of a "
      "cluster\n");
}

}  // namespace canopy::client::cli
