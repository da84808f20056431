// Standard input and output, in bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "client/cli/command_line.h"
#include "core/base/result.h"

namespace canopy::client::cli {

// Call first: keeps sockets from taking the place of a closed standard descriptor, which stays
// unusable.
void reserve_descriptors();
// SIGPIPE ends the program even if its parent process ignored or blocked the signal.
void end_on_sigpipe();

// Writes every byte before it returns. Into a closed pipe: the program ends by SIGPIPE.
base::Status print(std::string_view bytes);
bool prints_to_terminal();
// Standard output is a pipe, socket or terminal: poll() says when its reader has gone.
bool can_lose_reader();

// One line on standard error: "canopy: TEXT".
void complain(std::string_view text);

// Complains, and returns `exit`.
Exit fail(Exit exit, std::string_view why);
// Prints; the exit code says whether that succeeded, and a complaint why not.
Exit print_result(std::string_view text);

// Reads standard input up to its end, or until it has more than `limit` bytes.
base::Result<std::string> read_input(std::size_t limit);

}  // namespace canopy::client::cli
