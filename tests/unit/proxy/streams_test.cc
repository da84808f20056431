#include "proxy/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/cluster/directory_record.h"
#include "proxy/stamped.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using native::Subscription;
using testing::ElementsAre;
constexpr base::TimePoint start{1h};

struct Sent {
  std::string topic{};
  native::BatchHeader header{};
  std::vector<std::string> entries{};  // key=value
  bool compressed = false;
  std::optional<native::Move> move{};
};

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() {
    mirrored.sync(0);
    mirrored.sync(1);
  }

  void put(const std::string& key, const std::string& value) {
    streams.append(mirrored.update(key, value), mirrored.owner(key));
  }
  Streams::Send keep() {
    return [this](Sending sending) {
      if (!room && sending.may_wait) return false;
      native::Batch batch;
      const auto move = native::decode_stream(sending.frame, batch);
      EXPECT_TRUE(move) << move.error();
      Sent one{.topic = std::string(native::topic_of(sending.frame)),
               .header = batch.header,
               .compressed = sending.compressed,
               .move = *move};
      for (const auto& entry : batch.entries) {
        one.entries.push_back(std::string(entry.key) + "=" + std::string(entry.value));
      }
      sent.push_back(std::move(one));
      return true;
    };
  }
  std::vector<Sent> flush(base::TimePoint now = start) {
    streams.flush(now, keep());
    return std::exchange(sent, {});
  }

  Mirrored mirrored{{"/a/", ""}};
  Streams streams{mirrored, 100};
  std::vector<Sent> sent;
  bool room = true;
};

TEST_F(StreamsTest, AnswersANewSubscriberWithWhereItStands) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  put("/a/1", "x");
  const auto first = flush();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].topic, native::topic({.subtree = "/a/"}));
  EXPECT_EQ(first[0].header.incarnation, 100u);
  EXPECT_THAT(first[0].entries, ElementsAre("/a/1=x"));
  ASSERT_EQ(first[0].header.revisions.size(), 1u);
  EXPECT_EQ(first[0].header.revisions[0].revision, mirrored.mirror(0)->revision());

  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  const auto second = flush();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].header.after, 1u);
  EXPECT_EQ(second[0].header.count, 0u);
  EXPECT_TRUE(flush().empty());
}

TEST_F(StreamsTest, AnUpdateGoesToTheStreamsOfEverySegmentAndOfItsKey) {
  for (const char* subtree : {"", "/", "/a/", "/a/b/", "/a/b/c", "/a/b", "/a/bc/", "/b/"}) {
    ASSERT_TRUE(streams.add({.subtree = subtree}));
  }
  flush();
  put("/a/b/c", "v");
  std::vector<std::string> reached;
  for (const Sent& one : flush()) reached.push_back(native::parse_topic(one.topic)->subtree);
  EXPECT_THAT(reached, testing::UnorderedElementsAre("", "/", "/a/", "/a/b/", "/a/b/c"));
}

TEST_F(StreamsTest, PositionsCountUpdatesAcrossBatches) {
  ASSERT_TRUE(streams.add({}));
  flush();
  put("k", "1");
  put("/a/k", "2");
  EXPECT_EQ(streams.cut({})->position, 2u) << "what is gathered counts";
  const auto first = flush();
  EXPECT_EQ(first[0].header.after, 0u);
  EXPECT_EQ(first[0].header.count, 2u);
  EXPECT_EQ(first[0].header.revisions.size(), 2u);
  put("k", "3");
  const auto second = flush();
  EXPECT_EQ(second[0].header.after, 2u);
  ASSERT_EQ(second[0].header.revisions.size(), 1u) << "only what is new";
  EXPECT_EQ(second[0].header.revisions[0].partition, "");
}

TEST_F(StreamsTest, BeginAnewUnderIncarnationsOfAnotherGeneration) {
  ASSERT_TRUE(streams.add({}));
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  put("k", "1");
  flush();
  put("k", "2");
  streams.begin(1000, start, keep());
  ASSERT_EQ(sent.size(), 1u) << "what is gathered belongs to the old incarnation";
  EXPECT_EQ(sent[0].header.incarnation, 100u);
  EXPECT_THAT(sent[0].entries, ElementsAre("k=2"));
  sent.clear();
  put("k", "3");
  std::set<std::uint64_t> incarnations;
  for (const Sent& one : flush()) {
    incarnations.insert(one.header.incarnation);
    EXPECT_EQ(one.header.after, 0u);
    EXPECT_FALSE(one.header.revisions.empty()) << "it says where it stands";
  }
  EXPECT_THAT(incarnations, ElementsAre(1000u, 1001u));
  EXPECT_EQ(streams.cut({})->position, 1u);
}

TEST(Stamps, GrowWithGenerationsAndStayPositive) {
  EXPECT_GT(first_stamp(cluster::DirectoryRecord::max_generation), 0);
  EXPECT_EQ(first_stamp(7) & 0xffff'ffff, 0) << "clients that print the lower half count from 0";
  const std::int64_t last = first_stamp(7) + (std::int64_t{1} << stamp_counter_bits) - 1;
  EXPECT_GT(first_stamp(8), last);
}

TEST_F(StreamsTest, OnlyTheLastOfSeveralBatchesSaysRevisions) {
  ASSERT_TRUE(streams.add({}));
  flush();
  const std::string large(200'000, 'x');
  for (const char* key : {"1", "2", "3"}) put(key, large);
  const auto batches = flush();
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_TRUE(batches[0].header.revisions.empty());
  EXPECT_TRUE(batches[1].header.revisions.empty());
  EXPECT_EQ(batches[2].header.revisions.size(), 1u);
  EXPECT_EQ(batches[2].header.after, 2u);
}

TEST_F(StreamsTest, LivesWhileItHasSubscribers) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  streams.remove({.subtree = "/a/"});
  EXPECT_EQ(streams.size(), 1u);
  put("/a/1", "x");
  streams.remove({.subtree = "/a/"});
  EXPECT_EQ(streams.size(), 0u);
  EXPECT_FALSE(streams.cut({.subtree = "/a/"}));
  EXPECT_TRUE(flush().empty());
  streams.remove({.subtree = "/a/"});  // never subscribed
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  EXPECT_EQ(flush()[0].header.incarnation, 101u);
}

TEST_F(StreamsTest, CountsTheBytesThatItHolds) {
  const Subscription latest{.latest_ms = 1000};
  for (const Subscription& one : {Subscription{}, Subscription{.subtree = "/a/"}, latest}) {
    ASSERT_TRUE(streams.add(one));
  }
  flush();
  put("/a/1", std::string(1000, 'x'));
  EXPECT_GT(streams.gathered_bytes(), 2000u) << "each has its own copy";
  EXPECT_LT(streams.gathered_bytes(), 2200u);
  EXPECT_GT(streams.latest_bytes(), 1000u);
  put("/a/1", "y");
  EXPECT_LT(streams.latest_bytes(), 200u) << "only the last one";
  streams.remove({.subtree = "/a/"});
  flush();
  EXPECT_EQ(streams.gathered_bytes(), 0u);
  put("/a/2", "z");
  streams.remove(latest);
  EXPECT_EQ(streams.latest_bytes(), 0u);
  streams.remove({});
  flush();
  EXPECT_EQ(streams.gathered_bytes(), 0u);
}

TEST_F(StreamsTest, LatestLeavesBeforeItsTimeRatherThanHoldTooMuch) {
  ASSERT_TRUE(streams.add({.latest_ms = 60'000}));
  flush(start);
  const std::string value(1 << 20, 'x');
  std::size_t highest = 0;
  for (int number = 0; number < 200; ++number) {
    put("/a/" + std::to_string(number), value);
    highest = std::max(highest, streams.latest_bytes());
    streams.flush_latest(start + 1ms, [](const Sending&) { return true; });
  }
  EXPECT_LT(highest, Streams::max_latest_bytes + 2 * value.size());
  EXPECT_EQ(streams.gathered_bytes(), 0u);
}

TEST_F(StreamsTest, ANewHistoryBeginsTheStreamsThatItTouchesAnew) {
  for (const char* subtree : {"", "/a/1", "/b/"}) ASSERT_TRUE(streams.add({.subtree = subtree}));
  ASSERT_TRUE(streams.add({.subtree = "/a/", .latest_ms = 50}));
  flush();
  put("/a/1", "old");
  put("/b/1", "old");
  streams.renew(0);
  put("/b/1", "new");
  std::map<std::string, native::BatchHeader> headers;
  for (const Sent& one : flush()) {
    headers[native::parse_topic(one.topic)->subtree] = one.header;
  }
  ASSERT_EQ(headers.size(), 4u);
  EXPECT_EQ(headers["/b/"].incarnation, 102u) << "of another partition alone";
  EXPECT_EQ(headers["/b/"].count, 2u);
  for (const char* subtree : {"", "/a/1", "/a/"}) {
    EXPECT_GE(headers[subtree].incarnation, 104u);
    EXPECT_EQ(headers[subtree].after, 0u);
    EXPECT_FALSE(headers[subtree].revisions.empty());
  }
  EXPECT_EQ(headers[""].count, 1u) << "what came after it";
  EXPECT_EQ(headers["/a/1"].count, 0u);
}

TEST_F(StreamsTest, LatestSendsTheLastOfEachKeyOncePerPeriod) {
  const Subscription latest{.subtree = "/a/", .latest_ms = 100};
  ASSERT_TRUE(streams.add(latest));
  flush(start);
  for (const char* value : {"1", "2", "3"}) put("/a/x", value);
  put("/a/y", "1");
  put("/a/x", "4");
  EXPECT_TRUE(flush(start + 10ms).empty());
  ASSERT_EQ(streams.next_due(), start + 100ms);
  streams.flush_latest(start + 99ms, keep());
  EXPECT_TRUE(sent.empty());
  streams.flush_latest(start + 100ms, keep());
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_THAT(sent[0].entries, ElementsAre("/a/x=4", "/a/y=1"));
  EXPECT_EQ(sent[0].header.revisions[0].revision, mirrored.mirror(0)->revision());
  EXPECT_EQ(streams.take_conflated(), 3u);
  EXPECT_EQ(streams.take_conflated(), 0u);
  EXPECT_FALSE(streams.next_due());
}

TEST_F(StreamsTest, AGreetingOfALatestStreamClaimsNothingThatIsHeldBack) {
  const Subscription latest{.subtree = "/a/", .latest_ms = 100};
  ASSERT_TRUE(streams.add(latest));
  flush(start);
  put("/a/x", "1");
  ASSERT_TRUE(streams.add(latest));
  const auto greeting = flush(start + 1ms);
  ASSERT_EQ(greeting.size(), 1u);
  EXPECT_EQ(greeting[0].header.count, 0u);
  EXPECT_TRUE(greeting[0].header.revisions.empty());
}

TEST_F(StreamsTest, IdleStreamsSayWhereTheyStand) {
  streams.heartbeat(start, keep());
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  flush(start);
  put("other", "1");  // not of this stream
  streams.heartbeat(start + Streams::heartbeat_period - 1ms, keep());
  EXPECT_TRUE(sent.empty());
  EXPECT_FALSE(streams.heartbeat(start + Streams::heartbeat_period, keep()));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].header.count, 0u);
  EXPECT_EQ(sent[0].header.revisions.size(), 1u);

  put("/a/1", "x");
  flush(start + 2 * Streams::heartbeat_period - Streams::idle + 1ms);
  streams.heartbeat(start + 2 * Streams::heartbeat_period, keep());
  EXPECT_TRUE(sent.empty()) << "it has just carried something";
  streams.heartbeat(start + 3 * Streams::heartbeat_period, keep());
  EXPECT_EQ(sent.size(), 1u);
}

TEST_F(StreamsTest, HeartbeatsOfManyStreamsAreSpreadOverTheSecond) {
  constexpr auto turn = 10ms;
  for (const std::size_t count :
       {std::size_t{1}, std::size_t{40}, std::size_t{5'000}, std::size_t{20'000}}) {
    Streams many{mirrored, 1};
    std::vector<base::TimePoint> heard(count, start);
    const auto name = [](std::size_t i) { return "/a/" + std::to_string(i); };
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(many.add({.subtree = name(i)}));
    many.flush(start, [](const Sending&) { return true; });
    base::TimePoint now = start;
    std::size_t beats = 0, most = 0;
    base::Duration longest{};
    for (; now < start + 6s; now += turn) {
      std::size_t at_once = 0;
      many.heartbeat(now, [&](const Sending& sending) {
        const auto topic = native::parse_topic(native::topic_of(sending.frame));
        base::TimePoint& last = heard[std::stoul(topic->subtree.substr(3))];
        longest = std::max(longest, now - last);
        last = now;
        ++at_once;
        return true;
      });
      beats += at_once;
      most = std::max(most, at_once);
    }
    for (const base::TimePoint last : heard) longest = std::max(longest, now - last);
    EXPECT_LE(longest, Streams::heartbeat_period + Streams::heartbeat_spread + 2 * turn) << count;
    EXPECT_GE(beats, 4 * count) << count;
    EXPECT_LE(beats, 6 * count) << count;
    EXPECT_LE(most, std::max<std::size_t>(Streams::heartbeats_at_once, count / 10) + 1) << count;
  }
}

TEST_F(StreamsTest, AfterAPauseHeartbeatsDoNotComeAllAtOnce) {
  constexpr std::size_t count = 1000;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_TRUE(streams.add({.subtree = "/a/" + std::to_string(i)}));
  }
  flush(start);
  EXPECT_TRUE(streams.heartbeat(start + 1h, keep())) << "more are due";
  EXPECT_LE(sent.size(), count / 10);
}

TEST_F(StreamsTest, WhatIsForOneSubscriberWaitsAWhileForRoom) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  flush(start);
  room = false;
  put("/a/1", "x");
  EXPECT_TRUE(flush(start).empty());
  EXPECT_TRUE(streams.pending());
  put("/a/2", "y");
  EXPECT_TRUE(flush(start + Streams::patience - 1ms).empty());
  room = true;
  const auto batches = flush(start + Streams::patience - 1ms);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_THAT(batches[0].entries, ElementsAre("/a/1=x", "/a/2=y"));
  EXPECT_EQ(batches[0].header.after, 0u);
  EXPECT_EQ(batches[0].header.revisions.size(), 1u);
  EXPECT_FALSE(streams.pending());

  room = false;
  put("/a/3", "z");
  EXPECT_TRUE(flush(start + 1s).empty());
  const auto given_up = flush(start + 1s + Streams::patience);
  ASSERT_EQ(given_up.size(), 1u) << "it has had its chance";
  EXPECT_EQ(given_up[0].header.after, 2u);
}

TEST_F(StreamsTest, NoSubscriberWaitsForAnother) {
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  flush(start);
  room = false;
  put("/a/1", "x");
  EXPECT_EQ(flush(start).size(), 1u);
}

TEST_F(StreamsTest, WhatFillsMoreThanAFrameDoesNotWait) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  flush(start);
  room = false;
  put("/a/1", std::string(200'000, 'x'));
  EXPECT_TRUE(flush(start).empty());
  put("/a/2", std::string(200'000, 'x'));
  EXPECT_EQ(flush(start).size(), 2u);
}

TEST_F(StreamsTest, AStreamThatWaitsCanEnd) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  room = false;
  EXPECT_TRUE(flush(start).empty());
  streams.remove({.subtree = "/a/"});
  EXPECT_FALSE(streams.pending());
  EXPECT_FALSE(streams.heartbeat(start + 2s, keep()));
  EXPECT_TRUE(sent.empty());
}

TEST_F(StreamsTest, CompressesForThoseWhoOfferItWhenItPays) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(streams.add({.subtree = "/a/", .lz4 = true}));
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  flush();
  for (int i = 0; i < 50; ++i) put("/a/" + std::to_string(i), std::string(100, 'x'));
  const auto batches = flush();
  ASSERT_EQ(batches.size(), 2u);
  for (const Sent& one : batches) {
    EXPECT_EQ(one.compressed, native::parse_topic(one.topic)->lz4);
    EXPECT_EQ(one.entries.size(), 50u);
  }
}

TEST_F(StreamsTest, CountsWhatWasMissedByShard) {
  ASSERT_TRUE(streams.add({}));
  flush();
  for (const char* key : {"/a/1", "/a/2", "x", "/a/3", "y", "z"}) put(key, "v");
  flush();
  const auto missed = [&](std::uint64_t had, std::uint64_t saw, std::uint64_t incarnation = 100) {
    return streams.missed({}, {.incarnation = incarnation, .had = had, .saw = saw});
  };
  using Counts = std::map<std::size_t, std::uint64_t>;
  EXPECT_EQ(missed(0, 6), (Counts{{0, 3}, {1, 3}}));
  EXPECT_EQ(missed(1, 4), (Counts{{0, 2}, {1, 1}}));
  EXPECT_EQ(missed(5, 6), (Counts{{1, 1}}));
  EXPECT_EQ(missed(6, 6), Counts{});
  EXPECT_EQ(missed(5, 2), Counts{});
  EXPECT_EQ(missed(0, 7), Counts{}) << "not sent yet: not believed";
  EXPECT_EQ(missed(0, 6, 99), Counts{}) << "of another life";
}

TEST_F(StreamsTest, TellsAllToMove) {
  ASSERT_TRUE(streams.add({.subtree = "/a/"}));
  ASSERT_TRUE(streams.add({}));
  flush();
  streams.move(1500, keep());
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].move->within_ms, 1500u);
}

}  // namespace
}  // namespace canopy::proxy
