#include "core/wire/link.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire {
namespace {

using keyspace::Revision;

RoutedRequest request_of(Write write) { return {.request = {.writes = {std::move(write)}}}; }

template <typename Message, typename Decoded>
Message taken(const Decoded& decoded) {
  EXPECT_TRUE(decoded);
  if (!decoded || !std::holds_alternative<Message>(*decoded)) {
    ADD_FAILURE() << "is not that message";
    return {};
  }
  return std::get<Message>(*decoded);
}

TEST(Link, RequestsArriveWithWhoAsked) {
  const auto writes = taken<Writes>(decode_to_shard(encode(
      Writes{{{.reply_to = "abcd", .request = sample_request()}, request_of({.key = "/x"})}})));
  ASSERT_EQ(writes.requests.size(), 2u);
  EXPECT_EQ(writes.requests[0].reply_to, "abcd");
  const WriteRequest& request = writes.requests[0].request;
  EXPECT_EQ(request.client, std::string(16, 'c'));
  EXPECT_EQ(request.number, 8u);
  EXPECT_EQ(request.settled, 6u);
  ASSERT_EQ(request.writes.size(), 3u);
  EXPECT_EQ(request.writes[0].key, "/a");
  EXPECT_EQ(request.writes[0].value, "v");
  EXPECT_EQ(request.writes[0].ttl_ms, 5000);
  EXPECT_EQ(request.writes[0].properties, "p=1\n");
  EXPECT_FALSE(request.writes[0].if_revision);
  EXPECT_TRUE(request.writes[1].deletes);
  EXPECT_EQ(request.writes[1].if_revision, Revision(5, 41));
  EXPECT_FALSE(request.writes[2].deletes) << "an empty value is a value";
  EXPECT_EQ(request.writes[2].if_revision, Revision());
  EXPECT_TRUE(writes.requests[1].reply_to.empty());
  EXPECT_TRUE(writes.requests[1].request.client.empty());
}

TEST(Link, AnswersGoBackToWhoAsked) {
  const auto answers =
      taken<Answers>(decode_from_shard(encode(Answers{{{.reply_to = "abcd",
                                                        .number = 8,
                                                        .fault = Fault::revision_mismatch,
                                                        .text = "other",
                                                        .revision = Revision(5, 41)}}})));
  ASSERT_EQ(answers.answers.size(), 1u);
  EXPECT_EQ(answers.answers[0].reply_to, "abcd");
  EXPECT_EQ(answers.answers[0].number, 8u);
  EXPECT_EQ(answers.answers[0].fault, Fault::revision_mismatch);
  EXPECT_EQ(answers.answers[0].text, "other");
  EXPECT_EQ(answers.answers[0].revision, Revision(5, 41));
  EXPECT_FALSE(decode_from_shard(encode(Answers{{{.fault = static_cast<Fault>(99)}}})));
}

TEST(Link, SyncsAndChunks) {
  const Revision after(5, 41);
  const auto sync = taken<Sync>(decode_to_shard(
      encode(Sync{.request = 7, .partition = "/r/", .since = after, .lineage = UINT64_MAX})));
  EXPECT_EQ(sync.request, 7u);
  EXPECT_EQ(sync.partition, "/r/");
  EXPECT_EQ(sync.since, after);
  EXPECT_EQ(sync.lineage, UINT64_MAX);
  EXPECT_EQ(taken<Credit>(decode_to_shard(encode(Credit{.request = 7, .chunks = 2}))).chunks, 2u);
  const auto chunk =
      taken<Chunk>(decode_from_shard(encode(Chunk{.request = 7,
                                                  .number = 3,
                                                  .partition = "",
                                                  .lineage = UINT64_MAX,
                                                  .kind = Chunk::Kind::snapshot,
                                                  .revision = after,
                                                  .floor = Revision(5, 1),
                                                  .last = true,
                                                  .updates = sample_updates(after)})));
  EXPECT_EQ(chunk.number, 3u);
  EXPECT_EQ(chunk.lineage, UINT64_MAX);
  EXPECT_EQ(chunk.kind, Chunk::Kind::snapshot);
  EXPECT_EQ(chunk.revision, after);
  EXPECT_EQ(chunk.floor, Revision(5, 1));
  EXPECT_TRUE(chunk.last);
  EXPECT_EQ(chunk.updates.size(), 3u);
  const auto refused = taken<Refused>(
      decode_from_shard(encode(Refused{.request = 7, .partition = "/r/", .why = "loading"})));
  EXPECT_EQ(refused.why, "loading");
}

TEST(Link, BatchesCarryUpdatesWhole) {
  const Revision after(5, 41);
  const auto updates = sample_updates(after);
  const auto batch = decode_batch(encode(Batch{.partition = "/r/",
                                               .lineage = UINT64_MAX,
                                               .after = after,
                                               .committed = base::TimePoint(base::Duration(123)),
                                               .updates = updates}));
  ASSERT_TRUE(batch) << batch.error();
  EXPECT_EQ(batch->partition, "/r/");
  EXPECT_EQ(batch->lineage, UINT64_MAX);
  EXPECT_EQ(batch->end(), Revision(5, 44));
  EXPECT_EQ(batch->committed, base::TimePoint(base::Duration(123)));
  ASSERT_EQ(batch->updates.size(), updates.size());
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const keyspace::Update &is = *batch->updates[i], &was = *updates[i];
    EXPECT_EQ(is.key, was.key);
    EXPECT_EQ(is.value, was.value);
    EXPECT_EQ(is.properties, was.properties);
    EXPECT_EQ(is.uuid, was.uuid);
    EXPECT_EQ(is.revision, was.revision);
    EXPECT_EQ(is.expires_at_ms, was.expires_at_ms);
    EXPECT_EQ(is.deleted, was.deleted);
  }
}

TEST(Link, RefusesWhatItsFieldsForbid) {
  const auto batch_of = [](Revision after, Revision first) {
    return encode(
        Batch{.partition = "/a/", .after = after, .updates = {sample_update("/a/b", first)}});
  };
  EXPECT_TRUE(decode_batch(batch_of(Revision(1, 4), Revision(1, 5))));
  EXPECT_FALSE(decode_batch(batch_of(Revision(1, 4), Revision(1, 6))));
  EXPECT_FALSE(decode_batch(batch_of(Revision(1, 4), Revision(2, 5))));
  EXPECT_FALSE(decode_batch(batch_of(Revision(1, Revision::max_counter), Revision(2, 0))));
  EXPECT_FALSE(decode_to_shard(encode(Writes{{request_of({.key = "HUGZ", .value = "v"})}})));
  const std::string long_value(base::max_value_bytes + 1, 'v');
  EXPECT_FALSE(decode_to_shard(encode(Writes{{request_of({.key = "/a", .value = long_value})}})));
  EXPECT_FALSE(decode_to_shard(
      encode(Writes{{{.reply_to = std::string(max_reply_to_bytes + 1, 'r'), .request = {}}}})));
  EXPECT_FALSE(decode_to_shard(encode(Sync{.partition = "/a"})));
  std::string other_version = encode(Credit{});
  other_version[1] = static_cast<char>(link_version + 1);
  EXPECT_FALSE(decode_to_shard(other_version));
}

}  // namespace
}  // namespace canopy::wire
