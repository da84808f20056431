#include "tests/bench/meter.h"

#include <gtest/gtest.h>

#include <string>

namespace canopy::bench {
namespace {

namespace native = wire::native;

std::string stamped(std::string record, std::size_t body, std::int64_t due_us) {
  measure::write_stamp(&record[body], {.run = bench_run, .sent_us = due_us});
  return record;
}

std::string zmtp(const std::string& body) {
  std::string frame;
  if (body.size() < 256) {
    frame = {'\0', static_cast<char>(body.size())};
  } else {
    frame += '\2';
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(body.size() >> shift);
  }
  return frame + body;
}

std::string batch_of(std::uint64_t after, std::uint32_t count, bool lz4 = false) {
  std::string entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string key = key_of(i);
    std::string value(body_bytes, 'x');
    measure::write_stamp(value.data(), {.run = bench_run, .sent_us = 1000});
    native::append_entry(
        entries, {.key = key, .value = value, .revision = keyspace::Revision(1, after + i + 1)});
  }
  native::BatchHeader header{.stream = 0x1234567890, .after = after, .count = count};
  header.revisions.push_back({"", keyspace::Revision(1, after + count)});
  return zmtp(lz4 ? native::encode_batch(header, native::compress(entries), entries.size())
                  : native::encode_batch(header, entries));
}

// The counts must not depend on the size of the pieces.
std::uint64_t fed(Meter& meter, const std::string& stream, std::size_t piece) {
  std::uint64_t updates = 0;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    updates += meter.feed(std::string_view(stream).substr(at, piece), 5000);
  }
  return updates;
}

constexpr std::size_t pieces[] = {1, 2, 7, 20, 64, 131, 1000, 1'000'000};

TEST(RecordMeter, CountsAndSamplesWithPiecesOfAnySize) {
  for (const Protocol protocol :
       {Protocol::zmq, Protocol::redis, Protocol::nats, Protocol::mqtt, Protocol::plain}) {
    const Record record = delivered(protocol);
    std::string stream;
    for (int i = 0; i < 9; ++i) stream += stamped(record.bytes, record.body, 500 * i);
    for (const std::size_t piece : pieces) {
      measure::Histogram ages;
      EXPECT_EQ(fed(*make_meter(protocol, &ages), stream, piece), 9u);
      EXPECT_EQ(fed(*make_meter(protocol, nullptr), stream, piece), 9u);
      EXPECT_EQ(ages.count(), 9u);
      EXPECT_DOUBLE_EQ(ages.summary().avg, 3);
      EXPECT_EQ(ages.summary().max, 5);
    }
  }
}

TEST(RecordMeter, LeavesOutAndReportsPings) {
  const Record record = delivered(Protocol::nats);
  const std::string stream = record.bytes + std::string(nats_ping) + record.bytes + record.bytes;
  for (const std::size_t piece : pieces) {
    const auto meter = make_meter(Protocol::nats, nullptr);
    EXPECT_EQ(fed(*meter, stream, piece), 3u);
    EXPECT_EQ(meter->new_pings(), 1);
    EXPECT_EQ(meter->new_pings(), 0);
  }
}

TEST(RecordMeter, FindsInvalidData) {
  measure::Histogram ages;
  const auto meter = make_meter(Protocol::redis, &ages);
  meter->feed("-ERR no\r\n", 0);
  EXPECT_FALSE(meter->sane());
}

class BatchMeters : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Meter> meter() {
    return make_meter(Protocol::native, GetParam() ? &ages_ : nullptr);
  }

  measure::Histogram ages_;
};

TEST_P(BatchMeters, CountBatchesWithPiecesOfAnySize) {
  const std::string stream =
      zmtp(native::encode(native::Welcome{.request = 1, .proxy = "p1"})) +
      zmtp(native::encode_chunk({.request = 2, .revision = keyspace::Revision(1)}, "")) +
      zmtp(native::encode(native::CaughtUp{.request = 2, .stream = 5})) + batch_of(0, 0) +
      batch_of(0, 1) + batch_of(1, 300) + batch_of(301, 0) +
      zmtp(native::encode(native::Move{500})) + batch_of(301, 70'000 / 100, true);
  for (const std::size_t piece : pieces) {
    ages_ = {};
    const auto each = meter();
    EXPECT_EQ(fed(*each, stream, piece), 1001u) << piece;
    EXPECT_TRUE(each->sane());
    EXPECT_EQ(each->skipped(), 0u);
    EXPECT_EQ(ages_.count(), GetParam() ? 1001u : 0u);
    EXPECT_EQ(ages_.summary().min, GetParam() ? 4 : 0);
    EXPECT_EQ(ages_.summary().max, GetParam() ? 4 : 0);
  }
}

TEST_P(BatchMeters, CountWhatTheServerSkipped) {
  const auto each = meter();
  fed(*each,
      batch_of(10, 2) + zmtp(native::encode(native::Gap{.request = 2, .missed = 5})) +
          zmtp(native::encode(native::Gap{.request = 2})) + batch_of(17, 0),
      11);
  EXPECT_EQ(each->skipped(), 5u);
  EXPECT_TRUE(each->sane());
}

TEST_P(BatchMeters, FindARefusal) {
  const auto each = meter();
  fed(*each, zmtp(native::encode(native::Refusal{.request = 2, .fault = wire::Fault::forbidden})),
      1000);
  EXPECT_FALSE(each->sane());
}

INSTANTIATE_TEST_SUITE_P(Bench, BatchMeters, testing::Bool());

TEST(Dialogue, RecordsFollowTheProtocols) {
  EXPECT_EQ(key_of(42), "/bench/000042");
  EXPECT_EQ(delivered(Protocol::zmq).bytes.size(), 3 * 2 + 121u);
  EXPECT_EQ(delivered(Protocol::mqtt).bytes.substr(0, 3), "\x30\x80\x01");
  EXPECT_TRUE(delivered(Protocol::nats).bytes.starts_with("MSG bench 1 121\r\n/bench/"));
  EXPECT_TRUE(published(Protocol::redis, key_of(1)).bytes.ends_with("\r\n"));
}

TEST(Opening, AwaitsEachAnswerWhole) {
  Opening opening = subscriber_opening(Protocol::zmq, 0, "/a/");
  EXPECT_EQ(opening.begin().size(), 64u);
  EXPECT_EQ(opening.on_data(std::string(63, '\0')), "");
  EXPECT_EQ(opening.on_data(std::string(1, '\0')).substr(0, 8), "\4\31\5READY");
  EXPECT_EQ(opening.on_data("\4\3ab"), "");
  EXPECT_FALSE(opening.done());
  EXPECT_EQ(opening.on_data("cmore"), std::string("\0\4\1/a/", 6));
  EXPECT_TRUE(opening.done());
  EXPECT_EQ(opening.rest(), "more");
}

TEST(Opening, OfTheNativeProtocolIsAWatch) {
  Opening opening = subscriber_opening(Protocol::native_lz4, 0, subtree);
  opening.begin();
  EXPECT_TRUE(opening.on_data(std::string(64, '\0')).ends_with("DEALER"));
  const std::string sent = opening.on_data(std::string("\4\3abc"));
  ASSERT_TRUE(opening.done());
  const auto watch = native::encode(
      native::Watch{.request = 2, .subscription = {.subtree = std::string(subtree), .lz4 = true}});
  EXPECT_TRUE(sent.ends_with(zmtp(watch)));
}

TEST(Opening, LeavesTheFirstUpdates) {
  Opening opening = subscriber_opening(Protocol::redis, 0, "");
  EXPECT_EQ(opening.begin(), "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n");
  opening.on_data("*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n*3");
  EXPECT_TRUE(opening.done());
  EXPECT_EQ(opening.rest(), "*3");
}

TEST(Opening, MayBeNothing) {
  Opening opening = subscriber_opening(Protocol::plain, 0, "");
  EXPECT_EQ(opening.begin(), "");
  EXPECT_TRUE(opening.done());
}

}  // namespace
}  // namespace canopy::bench
