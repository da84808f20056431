#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/cluster/directory_record.h"
#include "proxy/pending_updates.h"
#include "tests/unit/proxy/streams_bench.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(StreamsTest, OneBufferServesAllWatchesOfAStream) {
  const auto one = watch({.subtree = "/a/"});
  const auto other = watch({.subtree = "/a/"});
  EXPECT_EQ(streams.size(), 1u);
  EXPECT_TRUE(flush().empty()) << "a stream says nothing before it has something";
  put("/a/1", "x");
  EXPECT_EQ(streams.cut(*one).number, 100u);
  EXPECT_EQ(streams.cut(*one).position, 1u) << "what is gathered counts";
  EXPECT_EQ(streams.sent(*one), 0u);
  const auto batches = flush();
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].buffer, batches[1].buffer);
  EXPECT_EQ(batches[0].serial, batches[1].serial);
  EXPECT_EQ(batches[0].header.stream, 100u);
  EXPECT_THAT(batches[0].entries, ElementsAre("/a/1=x"));
  ASSERT_EQ(batches[0].header.revisions.size(), 1u);
  EXPECT_EQ(batches[0].header.revisions[0].revision, mirrored.mirror(0)->revision());
  EXPECT_EQ(streams.sent(*one), 1u);
  put("/a/2", "x");
  EXPECT_NE(flush().at(0).serial, batches[0].serial);
}

TEST_F(StreamsTest, AnUpdateGoesToTheStreamsOfEverySegmentAndOfItsKey) {
  std::vector<std::unique_ptr<Kept>> watches;
  for (const char* subtree : {"", "/", "/a/", "/a/b/", "/a/b/c", "/a/b", "/a/bc/", "/b/"}) {
    watches.push_back(watch({.subtree = subtree}));
  }
  put("/a/b/c", "v");
  std::vector<std::string> reached;
  for (const SentBatch& one : flush()) reached.push_back(one.subtree);
  EXPECT_THAT(reached, testing::UnorderedElementsAre("", "/", "/a/", "/a/b/", "/a/b/c"));
}

TEST_F(StreamsTest, PositionsCountUpdatesAcrossBatches) {
  const auto all = watch({});
  put("k", "1");
  put("/a/k", "2");
  EXPECT_EQ(streams.gathered(), 2u);
  const auto first = flush();
  EXPECT_EQ(streams.gathered(), 0u);
  EXPECT_EQ(first[0].header.after, 0u);
  EXPECT_EQ(first[0].header.count, 2u);
  EXPECT_EQ(first[0].header.revisions.size(), 2u);
  put("k", "3");
  const auto second = flush();
  EXPECT_EQ(second[0].header.after, 2u);
  ASSERT_EQ(second[0].header.revisions.size(), 1u) << "only what is new";
  EXPECT_EQ(second[0].header.revisions[0].partition, "");
}

// A watch without room for a batch has the revisions sent before.
TEST_F(StreamsTest, RevisionsAreThoseOfTheFlushBefore) {
  const auto all = watch({.subtree = "/a/"});
  put("/a/1", "x");
  flush();
  EXPECT_TRUE(all->said_before.empty());
  const auto known = mirrored.mirror(0)->revision();
  const std::string large(200'000, 'x');
  for (const char* key : {"/a/1", "/a/2", "/a/3"}) put(key, large);
  EXPECT_EQ(flush().size(), 3u);
  ASSERT_EQ(all->said_before.size(), 1u);
  EXPECT_EQ(all->said_before[0].revision, known);
  EXPECT_EQ(streams.revisions(*all).at(0).revision, mirrored.mirror(0)->revision());
}

TEST_F(StreamsTest, ACutCountsUnsentRevisionsUnlessUpdatesAreGathered) {
  const auto one = watch({.subtree = "/a/"});
  put("/a/1", "x");
  streams.cut(*one);
  EXPECT_TRUE(streams.revisions(*one).empty());
  const auto other = watch({.subtree = ""});
  streams.cut(*other);
  EXPECT_EQ(streams.revisions(*other).size(), 2u);
}

TEST_F(StreamsTest, BeginAnewUnderNumbersOfAnotherGeneration) {
  const auto all = watch({});
  const auto some = watch({.subtree = "/a/"});
  put("k", "1");
  flush();
  put("k", "2");
  streams.begin(1000, start);
  ASSERT_EQ(sent.size(), 1u) << "what is gathered belongs to the old number";
  EXPECT_EQ(sent[0].header.stream, 100u);
  EXPECT_THAT(sent[0].entries, ElementsAre("k=2"));
  EXPECT_THAT(all->restarts, ElementsAre(std::nullopt));
  EXPECT_FALSE(all->said_before.empty()) << "still answers for the old number";
  sent.clear();
  EXPECT_EQ(streams.sent(*all), 0u);
  put("/a/k", "3");
  std::set<std::uint64_t> numbers;
  for (const SentBatch& one : flush()) {
    numbers.insert(one.header.stream);
    EXPECT_EQ(one.header.after, 0u);
  }
  EXPECT_THAT(numbers, ElementsAre(1000u, 1001u));
}

TEST(Stamps, GrowWithGenerationsAndStayPositive) {
  EXPECT_GT(first_stamp(cluster::DirectoryRecord::max_generation), 0);
  EXPECT_EQ(first_stamp(7) & 0xffff'ffff, 0) << "clients that print the lower half count from 0";
  const std::int64_t last = first_stamp(7) + (std::int64_t{1} << stamp_counter_bits) - 1;
  EXPECT_GT(first_stamp(8), last);
}

TEST_F(StreamsTest, OnlyTheLastOfSeveralBatchesHasRevisions) {
  const auto all = watch({});
  const std::string large(200'000, 'x');
  for (const char* key : {"1", "2", "3"}) put(key, large);
  const auto batches = flush();
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_TRUE(batches[0].header.revisions.empty());
  EXPECT_TRUE(batches[1].header.revisions.empty());
  EXPECT_FALSE(batches[2].header.revisions.empty());
  EXPECT_EQ(batches[2].header.after, 2u);
}

TEST_F(StreamsTest, LivesWhileItHasWatchesAndHoldsItsMirrors) {
  auto one = watch({.subtree = "/a/"});
  auto other = watch({.subtree = "/a/"});
  EXPECT_FALSE(leases.expired(0, start, 0s));
  one.reset();
  EXPECT_EQ(streams.size(), 1u);
  put("/a/1", "x");
  EXPECT_EQ(streams.gathered_bytes() > 0, true);
  other.reset();
  EXPECT_EQ(streams.size(), 0u);
  EXPECT_EQ(streams.gathered_bytes(), 0u);
  EXPECT_TRUE(leases.expired(0, start, 0s));
  EXPECT_TRUE(flush().empty());
  one = watch({.subtree = "/a/"});
  EXPECT_EQ(streams.cut(*one).number, 101u);
}

TEST_F(StreamsTest, AFlushHandsOverABoundedNumberOfBatches) {
  std::vector<std::unique_ptr<Kept>> watches;
  constexpr std::size_t each = Streams::hand_overs_per_flush / 2 + 1;
  for (const char* subtree : {"/a/", "", "/a/1"}) {
    for (std::size_t i = 0; i < each; ++i) watches.push_back(watch({.subtree = subtree}));
  }
  put("/a/1", "x");
  EXPECT_TRUE(streams.flush(start));
  EXPECT_EQ(sent.size(), 2 * each);
  EXPECT_EQ(streams.gathered(), 1u);
  EXPECT_FALSE(streams.flush(start));
  EXPECT_EQ(sent.size(), 3 * each);
  EXPECT_EQ(streams.gathered(), 0u);
}

TEST_F(StreamsTest, CountsTheBytesThatItHolds) {
  const auto all = watch({});
  auto some = watch({.subtree = "/a/"});
  auto latest = watch({.latest_ms = 1000});
  put("/a/1", std::string(1000, 'x'));
  EXPECT_GT(streams.gathered_bytes(), 2000u) << "each has its own copy";
  EXPECT_LT(streams.gathered_bytes(), 2200u);
  EXPECT_GT(streams.latest_bytes(), 1000u);
  put("/a/1", "y");
  EXPECT_LT(streams.latest_bytes(), 200u) << "only the last one";
  some.reset();
  flush();
  EXPECT_EQ(streams.gathered_bytes(), 0u);
  put("/a/2", "z");
  latest.reset();
  EXPECT_EQ(streams.latest_bytes(), 0u);
}

TEST_F(StreamsTest, ANewHistoryBeginsTheStreamsThatItTouchesAnew) {
  const auto all = watch({});
  const auto one = watch({.subtree = "/a/1"});
  const auto untouched = watch({.subtree = "/b/"});
  const auto latest = watch({.subtree = "/a/", .latest_ms = 50});
  put("/a/1", "old");
  put("/b/1", "old");
  streams.renew(0);
  put("/b/1", "new");
  std::map<std::string, native::BatchHeader> headers;
  for (const SentBatch& each : flush()) headers[each.subtree] = each.header;
  EXPECT_EQ(headers["/b/"].stream, 102u) << "of another partition alone";
  EXPECT_EQ(headers["/b/"].count, 2u);
  EXPECT_TRUE(untouched->restarts.empty());
  EXPECT_GE(headers[""].stream, 104u);
  EXPECT_EQ(headers[""].after, 0u);
  EXPECT_EQ(headers[""].count, 1u) << "what came after it";
  EXPECT_FALSE(headers.contains("/a/1"));
  for (const Kept* each : {all.get(), one.get(), latest.get()}) {
    EXPECT_THAT(each->restarts, ElementsAre(0u));
  }
  EXPECT_FALSE(streams.next_due()) << "what was held back is of the old history";
}

TEST_F(StreamsTest, CompressesWhereTheClientOffersItAndItPays) {
  std::vector<std::unique_ptr<Kept>> watches;
  for (int i = 0; i < 100; ++i) watches.push_back(watch({.subtree = "/a/", .lz4 = true}));
  const auto plain = watch({.subtree = "/a/"});
  for (int i = 0; i < 50; ++i) put("/a/" + std::to_string(i), std::string(100, 'x'));
  const auto batches = flush();
  ASSERT_EQ(batches.size(), 101u);
  for (const SentBatch& one : batches) EXPECT_EQ(one.entries.size(), 50u);
  EXPECT_EQ(std::ranges::count(batches, true, &SentBatch::compressed), 100);
  const Streams::Encoded encoded = streams.take_encoded();
  EXPECT_EQ(encoded.plain, 1u);
  EXPECT_EQ(encoded.compressed, 1u);
}

TEST_F(StreamsTest, CountsWhatWasMissedByShard) {
  const auto all = watch({});
  for (const char* key : {"/a/1", "/a/2", "x", "/a/3", "y", "z"}) put(key, "v");
  const auto missed = [&](std::uint64_t from, std::uint64_t to) {
    return streams.missed(*all, from, to);
  };
  using Counts = std::map<std::size_t, std::uint64_t>;
  EXPECT_EQ(missed(0, 6), (Counts{{0, 3}, {1, 3}}));
  EXPECT_EQ(missed(1, 4), (Counts{{0, 2}, {1, 1}}));
  EXPECT_EQ(missed(5, 6), (Counts{{1, 1}}));
  EXPECT_EQ(missed(6, 6), Counts{});
  EXPECT_EQ(missed(5, 2), Counts{});
}

}  // namespace
}  // namespace canopy::proxy
