// The baseline server of the load test: the Clone server of 2015.
//
//   bench-clone-2015 NOFILE
//
// Prints {"publish": PORT, "subscribe": PORT, "pid": PID of the server}; ends at the end of its
// standard input.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "loadtest/baseline.h"

namespace {

std::string port_of(const std::string& endpoint) {
  return endpoint.substr(endpoint.rfind(':') + 1);
}

}  // namespace

int main(int argc, char** argv) {
  auto baseline = canopy::loadtest::start_baseline(argc > 1 ? std::atoi(argv[1]) : 1024);
  if (!baseline) {
    std::fprintf(stderr, "bench-clone-2015: %s\n", baseline.error().c_str());
    return 1;
  }
  const auto& triple = baseline->target.triples.front();
  std::printf("{\"publish\": %s, \"subscribe\": %s, \"pid\": %d}\n",
              port_of(triple.collector).c_str(), port_of(triple.updates).c_str(),
              static_cast<int>(baseline->process.pid()));
  std::fflush(stdout);
  char ignored = 0;
  while (read(STDIN_FILENO, &ignored, 1) > 0) {
  }
  baseline->process.stop(std::chrono::milliseconds(0));
}
