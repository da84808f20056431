#include "core/net/closings.h"

#include <gtest/gtest.h>

namespace canopy::net {
namespace {

TEST(Closings, OfAPeerThatLeavesAreNotCounted) {
  EXPECT_EQ(classify("peer", true), Closing());
  EXPECT_EQ(classify("error", true), Closing());
}

TEST(Closings, ForCauseBearItsName) {
  EXPECT_EQ(classify("frame_too_large", true), (Closing{.closed = "frame_too_large"}));
  EXPECT_EQ(classify("permissions", true), (Closing{.closed = "permissions"}));
}

TEST(Closings, OfHandshakesSayWhatWasWrongWithTheKey) {
  const auto refused = [](std::string_view reason) {
    const Closing closing = classify(reason, false);
    EXPECT_EQ(closing.closed, "handshake");
    return closing.refused;
  };
  EXPECT_EQ(refused("unknown_key"), "unknown_key");
  EXPECT_EQ(refused("wrong_server_key"), "wrong_server_key");
  EXPECT_EQ(refused("mechanism"), "no_key");
  for (const char* reason : {"peer", "not_zmtp", "handshake_timeout", "version_1"}) {
    EXPECT_EQ(refused(reason), "incomplete");
  }
}

}  // namespace
}  // namespace canopy::net
