#include "core/metrics/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/metrics/http.h"

namespace canopy::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Health : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = HttpServer::start("0.0.0.0:0", registry_, std::chrono::seconds(10));
    ASSERT_TRUE(started) << started.error();
    http_ = std::move(*started);
    http_->beat();
  }

  Registry registry_{"proxy", "p1"};
  std::unique_ptr<HttpServer> http_;
};

TEST_F(Health, EveryReasonIsALine) {
  EXPECT_THAT(ailments(http_->address(), {}), ElementsAre(HasSubstr("no check has run yet")));
  http_->set_ready({{"clients", "full: 1 of 1"}, {"shard/a", "no heartbeat"}, {"directory", ""}});
  EXPECT_THAT(ailments(http_->address(), {}),
              ElementsAre("clients: full: 1 of 1", "shard/a: no heartbeat"));
  EXPECT_THAT(ailments(http_->address(), {"clients"}), ElementsAre("shard/a: no heartbeat"));
  EXPECT_THAT(ailments(http_->address(), {"clients", "shard/"}), IsEmpty());
}

TEST_F(Health, ALoopThatHangsIsUnwell) {
  auto started = HttpServer::start("127.0.0.1:0", registry_, std::chrono::milliseconds(-1));
  ASSERT_TRUE(started) << started.error();
  (*started)->set_ready({});
  EXPECT_THAT(ailments((*started)->address(), {}), ElementsAre(HasSubstr("/livez")));
}

TEST_F(Health, NobodyThereIsUnwell) {
  const std::string address = http_->address();
  http_.reset();
  EXPECT_THAT(ailments(address, {}), ElementsAre(HasSubstr("nobody answers")));
  EXPECT_THAT(ailments("127.0.0.1:0", {}), ElementsAre(HasSubstr("any free port")));
}

}  // namespace
}  // namespace canopy::metrics
