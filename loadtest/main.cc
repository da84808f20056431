#include <cstdio>

#include "core/base/uncaught.h"
#include "loadtest/options.h"
#include "loadtest/run.h"

int main(int argc, char** argv) {
  canopy::base::report_uncaught("canopy-loadtest");
  const auto options = canopy::loadtest::parse_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "canopy-loadtest: %s (see --help)\n", options.error().c_str());
    return 2;
  }
  if (options->help) {
    std::fputs(canopy::loadtest::help_text().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    std::puts("canopy-loadtest " CANOPY_VERSION);
    return 0;
  }
  return canopy::loadtest::run(*options);
}
