// Threads of the library beside those of its user.
#pragma once

#include <functional>
#include <thread>

namespace canopy::client {

// A thread that runs `body` with all signals blocked: signals are for the program's own threads.
std::thread start_thread(std::function<void()> body);

}  // namespace canopy::client
