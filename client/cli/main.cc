// canopy: the command line of a cluster.
#include <cstdio>
#include <cstdlib>

#include "client/cli/command_line.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "core/base/uncaught.h"

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace canopy::client::cli;
  canopy::base::report_uncaught("canopy", static_cast<int>(Exit::broken));
  reserve_descriptors();
  end_on_sigpipe();
  auto line =
      parse_command_line({argv + 1, argv + argc}, {.broker = variable("CANOPY_BROKER"),
                                                   .key = variable("CANOPY_KEY"),
                                                   .server_key = variable("CANOPY_SERVER_KEY")});
  if (const auto* outcome = std::get_if<Outcome>(&line)) {
    std::fputs(outcome->text.c_str(), outcome->exit == Exit::ok ? stdout : stderr);
    return static_cast<int>(outcome->exit);
  }
  return static_cast<int>(run(std::get<Command>(std::move(line))));
}
