// Parses the words after `canopy` into a command. Pure; Boost.Program_options.
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
  absent = 1,       // get: no such key; status, clients: a process or partition is not well
  wrong_usage = 2,  // of the command line, or a line of standard input that is not as specified
  refused = 3,      // by the cluster: the same request would be refused again
  no_answer = 4,    // no broker or proxy answered in time
  broken = 5,       // standard input or output failed, or a file could not be written
};

enum class Action {
  put,
  get,
  erase,
  list,
  watch,
  import_,
  apply,
  ping,
  status,
  clients,
  kick,
  drain,
  reload,
  elect,
  backup,
  move,
  split,
  keygen,
  completion
};

// Order of the list of clients.
enum class ClientOrder { queue, missed, age, name, connection };

struct Command {
  Action action = Action::status;
  Cluster cluster{};         // its keys are still in the files below
  std::string own_key{};     // file; empty: no keys, server_key is empty, too
  std::string server_key{};  // file, or the key itself
  base::Duration timeout{};
  // Key, subtree ("" is the root), shell, name of a proxy or of a key pair. clients, ping: the
  // proxy that is asked; empty: all, or any.
  std::string subject{};
  std::string value{};
  bool value_from_stdin = false;
  base::Duration ttl{};  // 0: none
  std::optional<keyspace::Revision> if_revision{};
  base::Duration latest{};  // 0: every update
  bool json = false;
  bool verbose = false;       // get
  bool keys_only = false;     // list
  std::uint64_t limit = 0;    // list; 0: none
  bool subtree = false;       // delete: the subject is a subtree
  std::uint64_t count = 0;    // ping: probes; 0: until a signal
  base::Duration interval{};  // ping
  std::string write_key{};    // ping; empty: none
  ClientOrder order = ClientOrder::queue;
  std::uint64_t connection = 0;       // kick
  std::vector<std::string> shards{};  // move; elect and backup: one
  std::string name{};                 // backup
  std::string directory{};            // keygen: where the files go
};

// Environment variables, used where the option is not given; empty: not set.
struct Environment {
  std::string broker{};      // CANOPY_BROKER
  std::string key{};         // CANOPY_KEY
  std::string server_key{};  // CANOPY_SERVER_KEY
};

// The program prints this and ends: on standard output if `exit` is ok, else on standard error.
struct Outcome {
  Exit exit = Exit::ok;
  std::string text{};
};

// `words` without the program's own name.
std::variant<Command, Outcome> parse_command_line(const std::vector<std::string>& words,
                                                  const Environment& environment);

}  // namespace canopy::client::cli
