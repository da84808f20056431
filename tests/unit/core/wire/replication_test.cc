#include "core/wire/replication.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire {
namespace {

using keyspace::AppliedRequest;
using keyspace::EpochEnd;
using keyspace::Revision;

template <typename Message>
Message to_leader_again(const Message& message) {
  const auto decoded = decode_to_leader(encode(ToLeader(message)));
  EXPECT_TRUE(decoded) << decoded.error();
  return decoded ? std::get<Message>(*decoded) : Message();
}

template <typename Message>
Message to_follower_again(const Message& message) {
  const auto decoded = decode_to_follower(encode(ToFollower(message)));
  EXPECT_TRUE(decoded) << decoded.error();
  return decoded ? std::get<Message>(*decoded) : Message();
}

bool refused(const Append& append) { return !decode_to_follower(encode(ToFollower(append))).ok(); }
bool refused(const Follow& follow) { return !decode_to_leader(encode(ToLeader(follow))).ok(); }
bool refused(const Snapshot& snapshot) {
  return !decode_to_follower(encode(ToFollower(snapshot))).ok();
}

TEST(Replication, FollowersSayWhatTheyHave) {
  const Follow follow = to_leader_again(sample_follow());
  EXPECT_EQ(follow.partition, "/results/");
  EXPECT_EQ(follow.shard, "s1");
  EXPECT_EQ(follow.identity, "9f2c");
  EXPECT_EQ(follow.epoch, 7u);
  EXPECT_EQ(follow.session, 1ull << 50);
  EXPECT_EQ(follow.committed, Revision(5, 41));
  EXPECT_EQ(follow.history, (std::vector<EpochEnd>{{4, 1, 0}, {5, UINT64_MAX, 43}}));
  const Stored stored = to_leader_again(Stored{"/results/", "s1", "9f2c", 7, 9, {5, 44}});
  EXPECT_EQ(stored.session, 9u);
  EXPECT_EQ(stored.position, Revision(5, 44));
}

TEST(Replication, EntriesKeepTheirRequests) {
  const Append append = to_follower_again(sample_append());
  EXPECT_EQ(append.number, 3u);
  EXPECT_EQ(append.of_epoch, 5u);
  EXPECT_EQ(append.of_lineage, UINT64_MAX);
  EXPECT_EQ(append.after, Revision(5, 41));
  EXPECT_EQ(append.committed, Revision(5, 44));
  ASSERT_EQ(append.entries.size(), 3u);
  EXPECT_TRUE(append.entries[0].completes);
  EXPECT_FALSE(append.entries[1].completes);
  EXPECT_EQ(append.entries[1].update->key, "/b");
  EXPECT_EQ(append.entries[1].request, nullptr);
  ASSERT_NE(append.entries[2].request, nullptr);
  EXPECT_EQ(append.entries[2].request->client, std::string(16, 'c'));
  EXPECT_EQ(append.entries[2].request->number, 300u);
  EXPECT_EQ(append.entries[2].request->settled, 299u);
  EXPECT_EQ(append.entries[2].request->revision, Revision(5, 44)) << "that of its update";
}

TEST(Replication, SnapshotsCarryTreeRequestsAndHistory) {
  const Snapshot snapshot = to_follower_again(sample_snapshot());
  EXPECT_EQ(snapshot.cut, Revision(5, 44));
  EXPECT_EQ(snapshot.history, (std::vector<EpochEnd>{{5, 50, 44}}));
  EXPECT_FALSE(snapshot.last);
  ASSERT_EQ(snapshot.updates.size(), 2u);
  EXPECT_EQ(snapshot.updates[1]->key, "/b");
  ASSERT_EQ(snapshot.requests.size(), 2u);
  EXPECT_EQ(snapshot.requests[0].number, 8u);
  EXPECT_EQ(snapshot.requests[1].client, "d");
  EXPECT_EQ(snapshot.requests[1].revision, Revision(5, 43));
  const Unled unled = to_follower_again(Unled{"/results/", 8, 9, "9f2c"});
  EXPECT_EQ(unled.epoch, 8u);
  EXPECT_EQ(unled.identity, "9f2c");
}

TEST(Replication, TellsTheLatestEpochsOfALongHistory) {
  Follow follow = sample_follow();
  follow.history.clear();
  for (std::uint32_t epoch = 1; epoch <= keyspace::ReplicaLog::max_epochs + 5; ++epoch) {
    follow.history.push_back({epoch, epoch, 1});
  }
  const Follow again = to_leader_again(follow);
  ASSERT_EQ(again.history.size(), keyspace::ReplicaLog::max_epochs);
  EXPECT_EQ(again.history.front().epoch, 6u);
  EXPECT_EQ(again.history.back(), follow.history.back());
}

TEST(Replication, RefusesHistoriesThatCannotBe) {
  for (const std::vector<EpochEnd>& history : {std::vector<EpochEnd>{{5, 1, 0}, {5, 2, 0}},
                                               {{6, 1, 0}, {5, 2, 0}},
                                               {{0, 1, 0}},
                                               {{1, 0, 0}},
                                               {{Revision::max_epoch + 1, 1, 0}},
                                               {{1, 1, Revision::max_counter + 1}}}) {
    Follow follow = sample_follow();
    follow.history = history;
    EXPECT_TRUE(refused(follow)) << testing::PrintToString(history.front().epoch);
  }
  Follow follow = sample_follow();
  follow.shard = std::string(max_replica_name_bytes + 1, 's');
  EXPECT_TRUE(refused(follow));
}

TEST(Replication, RefusesEntriesThatDoNotFollow) {
  Append append = sample_append();
  append.after = {5, 40};
  EXPECT_TRUE(refused(append));
  append = sample_append();
  append.of_epoch = 6;
  EXPECT_TRUE(refused(append)) << "the entries are of epoch 5";
  append = sample_append();
  append.of_epoch = 8;
  append.entries.clear();
  EXPECT_TRUE(refused(append)) << "an epoch that the leader has not reached";
  append.of_epoch = 4;
  EXPECT_TRUE(refused(append)) << "an epoch before `after`";
  append = sample_append();
  append.after = {5, Revision::max_counter};
  EXPECT_TRUE(refused(append));
  append = sample_append();
  append.of_lineage = 0;
  EXPECT_TRUE(refused(append));
  append = sample_append();
  append.after = {3, 9};
  append.entries = sample_log_entries({5, 0});
  EXPECT_FALSE(refused(append)) << "the first entries of an epoch";
}

TEST(Replication, RefusesSnapshotsBeyondTheirCut) {
  Snapshot snapshot = sample_snapshot();
  snapshot.cut = {5, 41};
  EXPECT_TRUE(refused(snapshot));
  snapshot = sample_snapshot();
  snapshot.updates.push_back(sample_updates({3, 1})[1]);
  EXPECT_TRUE(refused(snapshot)) << "a deletion";
  snapshot = sample_snapshot();
  snapshot.requests[0].settled = 9;
  EXPECT_TRUE(refused(snapshot));
}

// No count makes the decoder take memory that the bytes do not fill.
TEST(Replication, BelievesNoCountThatTheBytesDoNotHold) {
  const std::string append = encode(ToFollower(Append{
      .partition = "", .epoch = 1, .of_epoch = 1, .of_lineage = 1, .after = {}, .committed = {}}));
  for (const std::string& count : {std::string("\xcd\x3f\xff"), std::string("\xce\xff\xff\xff\xff"),
                                   std::string("\x01"), std::string("\xdd\xff\xff\xff\xff")}) {
    EXPECT_FALSE(decode_to_follower(append.substr(0, append.size() - 1) + count));
  }
  const std::string snapshot = encode(ToFollower(Snapshot{.partition = "", .epoch = 1}));
  for (const std::string& counts :
       {std::string("\xcd\x3f\xff\x00", 4), std::string("\x00\xcd\x3f\xff", 4),
        std::string("\xce\xff\xff\xff\xff\x00", 6), std::string("\x01\x01")}) {
    EXPECT_FALSE(decode_to_follower(snapshot.substr(0, snapshot.size() - 2) + counts));
  }
}

TEST(Replication, RefusesARequestThatIsNotComplete) {
  std::string entry;
  append_log_entry(entry, sample_log_entries({5, 41})[2]);
  ASSERT_TRUE(decode_log_entry(entry));
  entry[1] = 2;  // with the request, but not the last update of it
  EXPECT_FALSE(decode_log_entry(entry));
  entry[1] = 1;
  EXPECT_FALSE(decode_log_entry(entry)) << "bytes are left";
}

}  // namespace
}  // namespace canopy::wire
