#include "core/coordination/client_json.h"

#include <gtest/gtest.h>

namespace canopy::coordination {
namespace {

TEST(ClientJson, SaysAllOfAConnection) {
  EXPECT_EQ(to_json("p1", {.connection = 17,
                           .peer = "192.0.2.1:4711",
                           .name = "dash\"board",
                           .protocol = "native 2",
                           .subscriptions = {"/a/", "*"},
                           .queued_bytes = 5,
                           .missed = 4,
                           .catch_ups = 3,
                           .age_ms = 2}),
            R"({"proxy":"p1","connection":17,"peer":"192.0.2.1:4711","name":"dash\"board",)"
            R"("protocol":"native 2","queued_bytes":5,"missed":4,"catch_ups":3,"age_ms":2,)"
            R"("subscriptions":["/a/","*"]})");
}

TEST(ClientJson, ReplacesWhatIsNotText) {
  const std::string json = to_json("p1", {.subscriptions = {"/\xff"}});
  EXPECT_NE(json.find("\"subscriptions\":[\"/\xef\xbf\xbd\"]"), std::string::npos) << json;
}

}  // namespace
}  // namespace canopy::coordination
