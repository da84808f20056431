// What the words after `canopy` ask for. Pure; Boost.Program_options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "client/cli/cluster.h"
#include "core/base/clock.h"
#include "core/keyspace/revision.h"

namespace canopy::client::cli {

// Exit codes; they are part of the interface.
enum class Exit : int {
  ok = 0,
  absent = 1,       // get: no such key; status, clients: something is not well
  wrong_usage = 2,  // of the command line
  refused = 3,      // by the cluster: the same again would be refused again
  no_answer = 4,    // nobody there, or none in time
  broken = 5,       // standard input or output, or a file that was to be written
};

enum class Action {
  put,
  get,
  erase,
  list,
  watch,
  status,
  clients,
  kick,
  drain,
  reload,
  elect,
  backup,
  move,
  split,
  keygen
};

// Of the list of clients.
enum class ClientOrder { queue, missed, age, name, connection };

struct Command {
  Action action = Action::status;
  Cluster cluster{};         // its keys are still in the files below
  std::string own_key{};     // file; empty: none, nor a server_key
  std::string server_key{};  // file, or the key itself
  base::Duration timeout{};
  std::string subject{};  // key, subtree ("" is the root), name of a proxy or of a key pair
                          // of clients: the one proxy that is asked; empty: all
  std::string value{};
  bool value_from_stdin = false;
  base::Duration ttl{};  // 0: none
  std::optional<keyspace::Revision> if_revision{};
  base::Duration latest{};  // 0: every update
  bool json = false;
  ClientOrder order = ClientOrder::queue;
  std::uint64_t connection = 0;       // kick
  std::vector<std::string> shards{};  // move; elect and backup: one
  std::string name{};                 // backup
  std::string directory{};            // keygen: where to
};

// What variables say where an option does not; empty when they do not.
struct Environment {
  std::string broker{};      // CANOPY_BROKER
  std::string key{};         // CANOPY_KEY
  std::string server_key{};  // CANOPY_SERVER_KEY
};

// There is nothing to do but to print this: on stdout when all is well, else on stderr.
struct Parting {
  Exit exit = Exit::ok;
  std::string text{};
};

// `words` without the program's own name.
std::variant<Command, Parting> parse_command_line(const std::vector<std::string>& words,
                                                  const Environment& environment);

}  // namespace canopy::client::cli
