#include "core/keyspace/update_log.h"

#include <gtest/gtest.h>

#include "tests/unit/core/keyspace/make_update.h"

namespace canopy::keyspace {
namespace {

UpdatePtr update(Revision revision, std::size_t bytes = 10) {
  return make_update({.key = "k", .value = std::string(bytes - 1, 'x'), .revision = revision});
}

TEST(UpdateLog, ReplaysWhatItCovers) {
  UpdateLog log(Revision(3, 0), 100, 1000);
  EXPECT_TRUE(log.covers(Revision(3, 0)));
  for (std::uint64_t i = 1; i <= 5; ++i) log.append(update(Revision(3, i)));
  EXPECT_EQ(log.last(), Revision(3, 5));
  for (std::uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(log.after(Revision(3, i))->revision, Revision(3, i + 1));
  }
  EXPECT_FALSE(log.covers(Revision(3, 6)));
  EXPECT_FALSE(log.covers(Revision(2, 4)));
  EXPECT_FALSE(log.covers(Revision()));
}

TEST(UpdateLog, IsBoundedByCount) {
  UpdateLog log(Revision(1, 0), 3, 1000);
  for (std::uint64_t i = 1; i <= 10; ++i) log.append(update(Revision(1, i)));
  EXPECT_EQ(log.size(), 3u);
  EXPECT_TRUE(log.covers(Revision(1, 7)));
  EXPECT_FALSE(log.covers(Revision(1, 6)));
}

TEST(UpdateLog, IsBoundedByBytesButKeepsTheNewest) {
  UpdateLog log(Revision(1, 0), 100, 35);
  for (std::uint64_t i = 1; i <= 10; ++i) log.append(update(Revision(1, i)));
  EXPECT_EQ(log.size(), 3u);
  log.append(update(Revision(1, 11), 500));
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.after(Revision(1, 10))->revision, Revision(1, 11));
}

}  // namespace
}  // namespace canopy::keyspace
