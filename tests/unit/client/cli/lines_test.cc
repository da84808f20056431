#include "client/cli/lines.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

using keyspace::Revision;

TEST(Lines, AnEntryHasThreeColumns) {
  const Answer::Entry entry{.key = "/a\tb", .value = "1\n2", .revision = Revision(42)};
  EXPECT_EQ(entry_line(entry), "/a\\tb\t42\t1\\n2\n");
}

TEST(Lines, AnEntryIsShownInFull) {
  const Answer::Entry entry{.key = "/a", .value = "\xff", .revision = Revision(42)};
  EXPECT_EQ(
      entry_table(entry, 0),
      "key         /a\nrevision    42\nexpires     never\nproperties  -\nvalue       \\xff\n");
  const Answer::Entry expiring{.key = "/a",
                               .value = "v",
                               .properties = "a=1\nb=2\n",
                               .revision = Revision(42),
                               .expires_at_ms = 1'800'000'000'250};
  EXPECT_EQ(entry_table(expiring, 1'799'999'990'000),
            "key         /a\nrevision    42\n"
            "expires     2027-01-15T08:00:00.250Z (in 10s)\n"
            "properties  a=1\\nb=2\\n\nvalue       v\n");
}

TEST(Lines, ChangesAreText) {
  const Change put{.key = "/a", .value = "\xff\\", .revision = Revision(7)};
  EXPECT_EQ(change_line(put, false), "PUT\t/a\t7\t\\xff\\\\\n");
  const Change deletion{.key = "/a", .revision = Revision(8), .deleted = true};
  EXPECT_EQ(change_line(deletion, false), "DEL\t/a\t8\n");
}

TEST(Lines, ChangesAreJson) {
  const Change put{.key = "/ü\"", .value = "v", .revision = Revision(UINT64_MAX)};
  EXPECT_EQ(change_line(put, true),
            "{\"type\":\"PUT\",\"key\":\"/ü\\\"\",\"revision\":\"18446744073709551615\","
            "\"value\":\"v\"}\n");
  const Change binary{.key = "\xfe", .value = "\xff", .revision = Revision(1)};
  EXPECT_EQ(
      change_line(binary, true),
      "{\"type\":\"PUT\",\"key_base64\":\"/g==\",\"revision\":\"1\",\"value_base64\":\"/w==\"}\n");
  const Change deletion{.key = "/a", .revision = Revision(8), .deleted = true};
  EXPECT_EQ(change_line(deletion, true),
            "{\"type\":\"DEL\",\"key\":\"/a\",\"revision\":\"8\",\"value\":null}\n");
}

TEST(Lines, AGapHasACountIfItIsKnown) {
  EXPECT_EQ(gap_line(3, false), "GAP\t3\n");
  EXPECT_EQ(gap_line(std::nullopt, false), "GAP\t?\n");
  EXPECT_EQ(gap_line(3, true), "{\"type\":\"GAP\",\"updates\":3}\n");
  EXPECT_EQ(gap_line(std::nullopt, true), "{\"type\":\"GAP\",\"updates\":null}\n");
}

TEST(Lines, AResyncSaysHow) {
  EXPECT_EQ(resync_line(Synced::How::snapshot, false), "");
  EXPECT_EQ(resync_line(Synced::How::snapshot, true), "");
  EXPECT_EQ(resync_line(Synced::How::changes, false), "RESYNC\tchanges\n");
  EXPECT_EQ(resync_line(Synced::How::full, true), "{\"type\":\"RESYNC\",\"how\":\"full\"}\n");
}

}  // namespace
}  // namespace canopy::client::cli
