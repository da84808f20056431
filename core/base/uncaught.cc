#include "core/base/uncaught.h"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>

namespace canopy::base {
namespace {

const char* program_name = "";
int code = 1;

[[noreturn]] void report() {
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    std::fprintf(stderr, "%s: terminated\n", program_name);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory\n", program_name);
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "%s: %s\n", program_name, fault.what());
  } catch (...) {
    std::fprintf(stderr, "%s: unknown exception\n", program_name);
  }
  _exit(code);
}

}  // namespace

void report_uncaught(const char* program, int exit_code) {
  program_name = program;
  code = exit_code;
  std::set_terminate(report);
}

}  // namespace canopy::base
