#include "client/cli/refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/wire/fault.h"

namespace canopy::client::cli {
namespace {

using testing::HasSubstr;

constexpr auto forbidden = static_cast<unsigned>(wire::Fault::forbidden);

TEST(Refusal, AForbiddenCommandNamesThePermission) {
  EXPECT_THAT(refusal_text(Action::import_, forbidden, "x"), HasSubstr("may not write"));
  EXPECT_THAT(refusal_text(Action::apply, forbidden, "x"), HasSubstr("may not write"));
  EXPECT_THAT(refusal_text(Action::ping, forbidden, "x"), HasSubstr("may not write"));
  EXPECT_THAT(refusal_text(Action::erase, forbidden, "x"), HasSubstr("may not write"));
  EXPECT_THAT(refusal_text(Action::watch, forbidden, "x"), HasSubstr("may not read"));
  EXPECT_THAT(refusal_text(Action::reload, forbidden, "x"), HasSubstr("admin"));
  EXPECT_THAT(refusal_text(Action::clients, forbidden, "x"), HasSubstr("admin"));
  EXPECT_THAT(refusal_text(Action::elect, forbidden, "x"), HasSubstr("admin"));
  EXPECT_THAT(refusal_text(Action::backup, forbidden, "x"), HasSubstr("admin"));
  EXPECT_THAT(refusal_text(Action::kick, forbidden, "x"), HasSubstr("admin"));
  EXPECT_EQ(refusal_text(Action::status, forbidden, "x"), "forbidden");
}

TEST(Refusal, AnyOtherTextIsTheClusters) {
  const auto not_found = static_cast<unsigned>(wire::Fault::not_found);
  EXPECT_EQ(refusal_text(Action::drain, not_found, "no proxy p9\x1b"), "no proxy p9\\x1b");
}

}  // namespace
}  // namespace canopy::client::cli
