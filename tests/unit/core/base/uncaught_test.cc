#include "core/base/uncaught.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <thread>

namespace canopy::base {
namespace {

// On a thread of its own nothing catches it, as in a main().
template <typename Exception>
void die_of(const Exception& exception) {
  report_uncaught("canopy-test", 5);
  std::thread([&] { throw exception; }).join();
}

TEST(UncaughtDeathTest, EndsWithOneLineAndTheExitCode) {
  EXPECT_EXIT(die_of(std::runtime_error("no room")), testing::ExitedWithCode(5),
              "^canopy-test: no room\n$");
  EXPECT_EXIT(die_of(std::bad_alloc()), testing::ExitedWithCode(5),
              "^canopy-test: out of memory\n$");
  EXPECT_EXIT(die_of(7), testing::ExitedWithCode(5), "^canopy-test: unknown exception\n$");
}

}  // namespace
}  // namespace canopy::base
