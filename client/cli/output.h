// Standard input and output, in bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace canopy::client::cli {

// Call first: keeps sockets from taking the place of a closed standard descriptor, which stays
// unusable.
void reserve_descriptors();
// The program ends by SIGPIPE even if the one that started it had ignored or blocked the signal.
void end_on_sigpipe();

// Writes all of it at once. Whoever writes into a closed pipe ends by SIGPIPE.
base::Status print(std::string_view bytes);
bool prints_to_terminal();
// Standard output is a pipe, socket or terminal: poll() says when its reader has gone.
bool can_lose_reader();

// One line on standard error: "canopy: TEXT".
void complain(std::string_view text);

// Up to its end, or to one byte more than `most`.
base::Result<std::string> read_input(std::size_t most);

}  // namespace canopy::client::cli
