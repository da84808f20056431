#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/usage.h"

namespace canopy::client::cli {
namespace {

TEST(Completion, EveryShellKnowsEveryCommandAndOption) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell);
    for (const Usage& usage : usages) EXPECT_THAT(script, testing::HasSubstr(usage.name)) << shell;
    for (const Option& option : options) {
      EXPECT_THAT(script, testing::HasSubstr(option.name)) << shell;
    }
  }
  EXPECT_EQ(completion_script("csh"), "");
}

}  // namespace
}  // namespace canopy::client::cli
