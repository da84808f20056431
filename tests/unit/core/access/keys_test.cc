#include "core/access/keys.h"

#include <gtest/gtest.h>

namespace canopy::access {
namespace {

TEST(Keys, AMadePairIsOne) {
  const KeyPair one = make_key_pair(), other = make_key_pair();
  EXPECT_TRUE(is_key(one.public_key) && is_key(one.secret_key));
  EXPECT_NE(one, other);
  EXPECT_TRUE(is_pair(one));
  EXPECT_FALSE(is_pair({.public_key = one.public_key, .secret_key = other.secret_key}));
  EXPECT_FALSE(is_pair({}));
}

// The keys of CurveZMQ's documentation (zmq_curve).
TEST(Keys, APairOfLibzmqIsOne) {
  EXPECT_TRUE(is_pair({.public_key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                       .secret_key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"}));
}

}  // namespace
}  // namespace canopy::access
