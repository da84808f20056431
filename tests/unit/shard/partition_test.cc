#include <gtest/gtest.h>

#include <limits>

#include "core/base/limits.h"
#include "core/wire/entry.h"
#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;
using namespace std::chrono_literals;

class PartitionTest : public testing::Test {
 protected:
  // As a Clone client writes: without a reply.
  Partition::Staged write(wire::Write write) {
    return partition_.stage(1, {.request = {.writes = {std::move(write)}}}, now_);
  }
  void put(const std::string& key, const std::string& value, std::int64_t ttl_ms = 0) {
    write({.key = key, .value = value, .ttl_ms = ttl_ms});
  }
  Partition::Staged request(std::vector<wire::Write> writes, std::uint64_t number,
                            const std::string& reply_to = "client", ProxyId proxy = 1) {
    return partition_.stage(proxy,
                            {.reply_to = reply_to,
                             .request = {.client = "0123456789abcdef",
                                         .number = number,
                                         .settled = settled_,
                                         .writes = std::move(writes)}},
                            now_);
  }
  // Commits what must be answered once.
  wire::Answer answer() {
    const auto committed = led_.commit(now_);
    EXPECT_EQ(committed.replies.size(), 1u);
    return committed.replies.empty() ? wire::Answer() : committed.replies[0].answer;
  }
  Revision revision_of(const std::string& key) {
    const auto entry = led_.tree().find(key);
    return entry == nullptr ? Revision() : entry->revision;
  }

  std::uint64_t settled_ = 1;
  base::TimePoint now_{1h};
  Led led_{};
  Partition& partition_ = led_.partition();
};

TEST_F(PartitionTest, GivesContiguousRevisionsAndShowsOnlyWhatIsCommitted) {
  put("/p/a", "1");
  put("/p/b", "2");
  EXPECT_EQ(led_.tree().size(), 0u);
  EXPECT_EQ(led_.revision(), Revision(7, 0));
  const auto batches = led_.commit(now_).batches;
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].after, Revision(7, 0));
  EXPECT_EQ(batches[0].updates[0]->revision, Revision(7, 1));
  EXPECT_EQ(batches[0].updates[1]->revision, Revision(7, 2));
  EXPECT_EQ(led_.tree().size(), 2u);
  EXPECT_TRUE(led_.commit(now_).batches.empty());
  EXPECT_EQ(partition_.heartbeat(now_).after, Revision(7, 2));
}

TEST_F(PartitionTest, DeletesWhatADeletionNames) {
  put("/p/a", "1");
  write({.key = "/p/a", .deletes = true});
  led_.commit(now_);
  EXPECT_EQ(led_.tree().size(), 0u);
}

TEST_F(PartitionTest, ExpiryIsAnOrdinaryDeletion) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  partition_.expire(now_ + 999ms);
  EXPECT_FALSE(partition_.staged());
  partition_.expire(now_ + 1s);
  const auto batches = led_.commit(now_ + 1s).batches;
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_TRUE(batches[0].updates[0]->deleted);
  EXPECT_EQ(batches[0].updates[0]->revision, Revision(7, 2));
  EXPECT_EQ(led_.tree().size(), 0u);
}

TEST_F(PartitionTest, AnOverwriteEndsTheOldExpiry) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  put("/p/a", "2");
  led_.commit(now_);
  partition_.expire(now_ + 1h);
  EXPECT_FALSE(partition_.staged());
  EXPECT_EQ(led_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, AWriteThatWaitsForItsCommitIsNotExpiredByItsPredecessor) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  put("/p/a", "2");
  partition_.expire(now_ + 2s);
  led_.commit(now_ + 2s);
  EXPECT_EQ(led_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, ExpiresBeforeAWriteThatComesLater) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  now_ += 2s;
  put("/p/b", "2");
  const auto batches = led_.commit(now_).batches;
  ASSERT_EQ(batches[0].updates.size(), 2u);
  EXPECT_EQ(batches[0].updates[0]->key, "/p/a");
  EXPECT_TRUE(batches[0].updates[0]->deleted);
}

TEST_F(PartitionTest, RecoveredEntriesExpireToo) {
  cluster::Replica::Recovered recovered{.committed = Revision(3, 2), .history = {{3, 5, 2}}};
  recovered.tree.put(wire::make_update(
      {.key = "/p/a", .value = "1", .revision = Revision(3, 1), .expires_at_ms = 3'600'500}));
  Led led({.subtree = "/p/"}, 8, std::move(recovered));
  led.partition().expire(now_ + 499ms);
  EXPECT_FALSE(led.partition().staged());
  led.partition().expire(now_ + 500ms);
  EXPECT_TRUE(led.partition().staged());
}

TEST_F(PartitionTest, WithoutRetentionNothingIsKept) {
  Led led({.subtree = "/p/", .retain = false});
  Partition& partition = led.partition();
  partition.stage(1, {.request = {.writes = {{.key = "/p/a", .value = "1", .ttl_ms = 5}}}}, now_);
  EXPECT_EQ(led.commit(now_).batches[0].updates.size(), 1u);
  partition.stage(1, {.request = {.writes = {{.key = "/p/a", .deletes = true}}}}, now_);
  led.commit(now_);
  EXPECT_EQ(led.replica().tombstones().size(), 0u);
  EXPECT_EQ(led.replica().tombstones().floor(), led.revision());
  EXPECT_EQ(led.tree().size(), 0u);
  EXPECT_EQ(led.replica().log().size(), 2u);
}

TEST_F(PartitionTest, WhatComesThroughTwoProxiesIsAppliedOnce) {
  const wire::Write once{.key = "/p/a", .value = "1", .uuid = "0123456789abcdef", .once = true};
  EXPECT_FALSE(write(once).repeated);
  EXPECT_TRUE(write(once).repeated);
  EXPECT_EQ(partition_.take_staged().size(), 1u);
  for (std::size_t i = 0; i < Partition::max_recent_uuids; ++i) {
    auto other = once;
    other.uuid = std::to_string(i);
    EXPECT_FALSE(write(other).repeated);
  }
  EXPECT_FALSE(write(once).repeated) << "the table of uuids is bounded";
}

TEST_F(PartitionTest, AClientThatGivesEveryUpdateOneUuidLosesNone) {
  wire::Write update{.key = "/p/a", .value = "1", .uuid = std::string(16, '\0'), .once = true};
  EXPECT_FALSE(write(update).repeated);
  EXPECT_TRUE(write(update).repeated) << "through its second proxy";
  update.value = "2";
  EXPECT_FALSE(write(update).repeated);
  update.value = "1";
  EXPECT_FALSE(write(update).repeated);
  update.key = "/p/b";
  EXPECT_FALSE(write(update).repeated);
  EXPECT_EQ(partition_.take_staged().size(), 4u);
}

TEST_F(PartitionTest, SplitsABatchThatOneMessageCannotHold) {
  const std::string value(base::max_chunk_bytes / 3, 'v');
  for (int i = 0; i < 7; ++i) put("/p/" + std::to_string(i), value);
  const auto batches = led_.commit(now_).batches;
  EXPECT_EQ(batches.size(), 4u);
  Revision position(7, 0);
  for (const auto& batch : batches) {
    EXPECT_EQ(batch.after, position);
    position = batch.end();
  }
  EXPECT_EQ(position, led_.revision());
}

TEST_F(PartitionTest, AnswersWithTheRevisionOfTheLastWriteOnceItIsCommitted) {
  request({{.key = "/p/a", .value = "1"}, {.key = "/p/b", .value = "2"}}, 1);
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 1u);
  EXPECT_EQ(committed.replies[0].proxy, 1);
  const wire::Answer& answer = committed.replies[0].answer;
  EXPECT_EQ(answer.reply_to, "client");
  EXPECT_EQ(answer.number, 1u);
  EXPECT_EQ(answer.fault, Fault::none);
  EXPECT_EQ(answer.revision, Revision(7, 2));
}

TEST_F(PartitionTest, AConditionSeesWhatIsStagedInTheSameTurn) {
  const auto create = [&](const std::string& value, std::uint64_t number) {
    return request({{.key = "/p/a", .value = value, .if_revision = Revision()}}, number).fault;
  };
  EXPECT_EQ(create("1", 1), Fault::none);
  EXPECT_EQ(create("2", 2), Fault::revision_mismatch);
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 2u);
  EXPECT_EQ(committed.replies[1].answer.revision, Revision(7, 1)) << "the entry's";
  EXPECT_EQ(led_.tree().find("/p/a")->value, "1");
  EXPECT_EQ(request({{.key = "/p/a", .value = "3", .if_revision = Revision(7, 1)}}, 3).fault,
            Fault::none);
  EXPECT_EQ(request({{.key = "/p/a", .deletes = true, .if_revision = Revision(7, 2)}}, 4).fault,
            Fault::none);
  EXPECT_EQ(create("4", 5), Fault::none);
  led_.commit(now_);
  EXPECT_EQ(revision_of("/p/a"), Revision(7, 4));
}

TEST_F(PartitionTest, OneConditionThatFailsFailsTheWholeRequest) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  EXPECT_EQ(request({{.key = "/p/a", .value = "2"},
                     {.key = "/p/b", .value = "2"},
                     {.key = "/p/c", .value = "2", .if_revision = Revision(7, 9)}},
                    1)
                .fault,
            Fault::revision_mismatch);
  EXPECT_FALSE(partition_.staged());
  EXPECT_EQ(answer().revision, Revision()) << "there is no entry";
  EXPECT_EQ(led_.revision(), Revision(7, 1));
  partition_.expire(now_ + 1s);
  EXPECT_TRUE(partition_.staged()) << "nothing of it has ended the expiry";
}

TEST_F(PartitionTest, WritesOfARequestToOneKeyAreAppliedInOrder) {
  const Revision first(7, 1);
  EXPECT_EQ(request({{.key = "/p/a", .value = "1", .if_revision = Revision()},
                     {.key = "/p/a", .value = "2", .if_revision = first},
                     {.key = "/p/a", .deletes = true},
                     {.key = "/p/a", .value = "3", .if_revision = Revision()}},
                    1)
                .fault,
            Fault::none);
  EXPECT_EQ(answer().revision, Revision(7, 4));
  EXPECT_EQ(led_.tree().find("/p/a")->value, "3");
  EXPECT_EQ(
      request({{.key = "/p/a", .value = "4"}, {.key = "/p/a", .if_revision = Revision(7, 4)}}, 2)
          .fault,
      Fault::revision_mismatch);
  EXPECT_EQ(answer().revision, Revision(7, 4)) << "the refused write before it never was";
}

TEST_F(PartitionTest, AConditionDoesNotSeeAnExpiredEntry) {
  put("/p/a", "1", 1000);
  led_.commit(now_);
  now_ += 1s;
  EXPECT_EQ(request({{.key = "/p/a", .value = "2", .if_revision = Revision()}}, 1).fault,
            Fault::none);
  EXPECT_EQ(answer().revision, Revision(7, 3)) << "after the deletion";
}

TEST_F(PartitionTest, WithoutRetentionConditionsAreRefused) {
  Led led({.subtree = "/p/", .retain = false});
  const auto staged = led.partition().stage(
      1, {.request = {.writes = {{.key = "/p/a", .if_revision = Revision()}}}}, now_);
  EXPECT_EQ(staged.fault, Fault::not_kept);
}

TEST_F(PartitionTest, RefusesInvalidRequests) {
  EXPECT_EQ(request({}, 1).fault, Fault::malformed);
  EXPECT_EQ(request({{.key = "/p/a"}}, 0).fault, Fault::bad_field);
  const auto ttl = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(request({{.key = "/p/a", .ttl_ms = ttl}}, 2).fault, Fault::bad_field);
  EXPECT_EQ(led_.commit(now_).replies.size(), 3u);
  EXPECT_EQ(led_.revision(), Revision(7, 0));
}

TEST_F(PartitionTest, ARepeatedRequestIsAppliedOnceAndAnsweredAlike) {
  EXPECT_FALSE(request({{.key = "/p/a", .value = "1"}}, 1).repeated);
  const auto first = answer();
  put("/p/a", "2");
  led_.commit(now_);
  EXPECT_TRUE(request({{.key = "/p/a", .value = "1"}}, 1).repeated);
  EXPECT_FALSE(partition_.staged());
  EXPECT_EQ(answer().revision, first.revision);
  EXPECT_EQ(led_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, ARefusalIsRepeatedAlikeThoughTheEntryHasChanged) {
  request({{.key = "/p/a", .value = "1", .if_revision = Revision(7, 1)}}, 1);
  EXPECT_EQ(answer().fault, Fault::revision_mismatch);
  put("/p/a", "2");
  led_.commit(now_);
  EXPECT_TRUE(request({{.key = "/p/a", .value = "1", .if_revision = Revision(7, 1)}}, 1).repeated);
  const auto again = answer();
  EXPECT_EQ(again.fault, Fault::revision_mismatch);
  EXPECT_EQ(again.revision, Revision());
}

TEST_F(PartitionTest, ARequestRepeatedInOneTurnIsAnsweredOnceTheWayTheLatestCame) {
  request({{.key = "/p/a", .value = "1"}}, 1, "old", 1);
  request({{.key = "/p/b", .value = "1"}}, 2, "other", 1);
  EXPECT_TRUE(request({{.key = "/p/a", .value = "1"}}, 1, "new", 2).repeated);
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 2u);
  EXPECT_EQ(committed.replies[0].proxy, 2);
  EXPECT_EQ(committed.replies[0].answer.reply_to, "new");
  EXPECT_EQ(committed.replies[1].answer.reply_to, "other");
  EXPECT_EQ(led_.revision(), Revision(7, 2));
}

TEST_F(PartitionTest, ASettledRequestIsRefused) {
  request({{.key = "/p/a", .value = "1"}}, 1);
  settled_ = 2;
  request({{.key = "/p/a", .value = "2"}}, 2);
  led_.commit(now_);
  settled_ = 1;
  EXPECT_EQ(request({{.key = "/p/a", .value = "1"}}, 1).fault, Fault::replayed);
  EXPECT_EQ(answer().fault, Fault::replayed);
  EXPECT_EQ(led_.tree().find("/p/a")->value, "2");
}

TEST_F(PartitionTest, TooManyRequestsOfAClientAreRefusedUntilSomeAreCommittedAndSettled) {
  const auto limit = Partition::max_undecided;
  for (std::uint64_t number = 1; number <= limit; ++number) {
    EXPECT_EQ(request({{.key = "/p/a"}}, number).fault, Fault::none);
  }
  EXPECT_EQ(request({{.key = "/p/a"}}, limit + 1).fault, Fault::too_many_requests);
  led_.commit(now_);
  EXPECT_EQ(request({{.key = "/p/a"}}, limit + 1).fault, Fault::too_many_requests);
  settled_ = 2;
  EXPECT_EQ(request({{.key = "/p/a"}}, limit + 1).fault, Fault::none) << "it was not remembered";
}

TEST_F(PartitionTest, UncommittedWritesAreSeenByLaterRequests) {
  request({{.key = "/p/a", .value = "1"}}, 1);
  led_.propose(now_);
  EXPECT_EQ(request({{.key = "/p/a", .if_revision = Revision()}}, 2).fault,
            Fault::revision_mismatch);
  EXPECT_EQ(request({{.key = "/p/a", .value = "2", .if_revision = Revision(7, 1)}}, 3).fault,
            Fault::none);
  EXPECT_TRUE(request({{.key = "/p/a", .value = "1"}}, 1, "again", 2).repeated);
  led_.propose(now_);
  EXPECT_EQ(led_.tree().size(), 0u);
  EXPECT_TRUE(partition_.commit({}, now_).replies.empty()) << "a refusal waits for what it saw";
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 3u);
  EXPECT_EQ(committed.replies[0].answer.reply_to, "again");
  EXPECT_EQ(committed.replies[1].answer.revision, Revision(7, 1));
  EXPECT_EQ(committed.replies[2].answer.revision, Revision(7, 2));
}

TEST_F(PartitionTest, UncommittedWritesAreAnsweredWhileNewOnesAreRefused) {
  request({{.key = "/p/a", .value = "1"}}, 1);
  led_.propose(now_);
  partition_.refuse_new(Fault::too_few_replicas);
  EXPECT_EQ(request({{.key = "/p/b", .value = "1"}}, 2).fault, Fault::too_few_replicas);
  EXPECT_TRUE(request({{.key = "/p/a", .value = "1"}}, 1, "again").repeated);
  const auto committed = led_.commit(now_);
  ASSERT_EQ(committed.replies.size(), 2u);
  EXPECT_EQ(committed.replies[0].answer.fault, Fault::too_few_replicas);
  EXPECT_EQ(committed.replies[1].answer.fault, Fault::none);
  EXPECT_EQ(committed.replies[1].answer.reply_to, "again");
}

TEST_F(PartitionTest, UnansweredRequestsMayBeSentAgainAfterTheLeadership) {
  request({{.key = "/p/a", .value = "1"}}, 1);
  led_.propose(now_);
  request({{.key = "/p/b", .value = "1"}}, 2);
  const auto replies = partition_.withdraw();
  ASSERT_EQ(replies.size(), 2u);
  for (const Reply& reply : replies) {
    EXPECT_EQ(reply.answer.fault, Fault::partition_unavailable);
    EXPECT_EQ(reply.answer.revision, Revision());
  }
}

TEST_F(PartitionTest, ALaterLeaderKnowsTheRequestsAndUuidsOfItsLog) {
  cluster::Replica::Recovered recovered{.committed = Revision(3, 1), .history = {{3, 5, 1}}};
  recovered.requests = {
      {.client = "0123456789abcdef", .number = 1, .settled = 1, .revision = Revision(3, 1)}};
  Led led({.subtree = "/p/"}, 8, std::move(recovered));
  const auto staged = led.partition().stage(1,
                                            {.reply_to = "client",
                                             .request = {.client = "0123456789abcdef",
                                                         .number = 1,
                                                         .settled = 1,
                                                         .writes = {{.key = "/p/a"}}}},
                                            now_);
  EXPECT_TRUE(staged.repeated);
  const auto committed = led.commit(now_);
  ASSERT_EQ(committed.replies.size(), 1u);
  EXPECT_EQ(committed.replies[0].answer.revision, Revision(3, 1));
  EXPECT_EQ(led.revision(), Revision(8, 0));
}

}  // namespace
}  // namespace canopy::shard
