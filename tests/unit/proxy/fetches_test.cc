#include "proxy/fetches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using keyspace::Revision;
using native::ChunkHeader;
using testing::ElementsAre;
constexpr base::TimePoint start{1h};

struct Told {
  ChunkHeader header{};
  std::vector<std::string> entries{};  // key=value, or -key
};

class FetchesTest : public testing::Test {
 protected:
  FetchesTest() {
    mirrored.sync(0);
    mirrored.sync(1);
  }

  void put(const std::string& key, const std::string& value) {
    streams.append(mirrored.update(key, value), mirrored.owner(key));
  }
  wire::Fault open(native::Fetch fetch, PeerId peer = 1) {
    return fetches.open(peer, std::move(fetch), start);
  }
  bool serve(base::TimePoint now = start) {
    return fetches.serve(
        now, {.send =
                  [this](PeerId peer, const std::string& frame) {
                    return without_room.contains(peer) ? Fetches::Delivery::blocked : take(frame);
                  },
              .refuse = [this](PeerId, std::uint64_t, wire::Fault why,
                               std::string_view) { fault = why; },
              .finished = [this](const char* result, base::Duration) { results += result; },
              .resynced = [this](bool changes) { results += changes ? "changes " : "full "; }});
  }
  Fetches::Delivery take(const std::string& frame) {
    if (delivery != Fetches::Delivery::sent) return delivery;
    const auto answer = native::decode_from_proxy(frame);
    EXPECT_TRUE(answer) << answer.error();
    const auto& chunk = std::get<native::Chunk>(*answer);
    Told one{.header = chunk.header};
    for (const auto& entry : chunk.entries) {
      one.entries.push_back(entry.deleted
                                ? "-" + std::string(entry.key)
                                : std::string(entry.key) + "=" + std::string(entry.value));
    }
    told.push_back(std::move(one));
    return delivery;
  }

  Mirrored mirrored{{"/a/", ""}};
  Streams streams{mirrored, 100};
  Fetches fetches{mirrored, streams, 2};
  Fetches::Delivery delivery = Fetches::Delivery::sent;
  std::set<PeerId> without_room;
  std::vector<Told> told;
  std::string results;
  wire::Fault fault = wire::Fault::none;
};

TEST_F(FetchesTest, TellsEveryPartitionBelowTheSubtree) {
  put("/a/1", "x");
  put("/b", "y");
  put("/a/2", "z");
  put("/a/2", "");  // deleted
  ASSERT_EQ(open({.request = 7, .subtree = "", .credit = 4}), wire::Fault::none);
  EXPECT_FALSE(serve());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].header.request, 7u);
  EXPECT_EQ(told[0].header.number, 0u);
  EXPECT_EQ(told[0].header.partition, "") << "the owner of the subtree comes first";
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_THAT(told[0].entries, ElementsAre("/b=y"));
  EXPECT_EQ(told[1].header.number, 1u);
  EXPECT_EQ(told[1].header.more, ChunkHeader::More::last);
  EXPECT_EQ(told[1].header.revision, Revision(1, 3));
  EXPECT_THAT(told[1].entries, ElementsAre("/a/1=x"));
  EXPECT_EQ(results, "sent");
  EXPECT_EQ(fetches.size(), 0u);
}

TEST_F(FetchesTest, AFullKeyIsASubtreeOfOne) {
  put("/b", "1");
  put("/bc", "2");
  open({.request = 1, .subtree = "/b", .credit = 1});
  serve();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].entries, ElementsAre("/b=1"));
}

TEST_F(FetchesTest, TellsWhatChangedSinceTheKnownRevision) {
  for (const char* key : {"/a/1", "/a/2", "/a/3", "/a/4"}) put(key, "old");
  const Revision known = mirrored.mirror(0)->revision();
  put("/a/2", "new");
  put("/a/3", "");
  put("/a/4", "");
  put("/a/4", "again");
  open({.request = 1, .subtree = "/a/", .known = {{"/a/", known}}, .credit = 1});
  serve();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_THAT(told[0].entries, ElementsAre("-/a/3", "/a/2=new", "/a/4=again"));
  EXPECT_EQ(results, "changes sent");
}

native::Fetch fetch_that_knows(std::size_t partitions, const std::string& prefix) {
  native::Fetch fetch{.request = 1, .subtree = ""};
  for (std::size_t i = 0; i < partitions; ++i) {
    fetch.known.push_back({prefix + std::to_string(i) + "/", Revision(1, 1)});
  }
  return fetch;
}

// What a client says of partitions that the subtree has not is not kept.
TEST_F(FetchesTest, KeepsOnlyTheRevisionsThatMatter) {
  for (int i = 0; i < 64; ++i) {
    ASSERT_EQ(open(fetch_that_knows(4096, std::string(240, 'p'))), wire::Fault::none);
  }
  EXPECT_LT(fetches.bytes(), 64u << 10);
  serve();
  EXPECT_EQ(results.substr(0, 9), "full full") << "a client that knew something, if of no use";
  fetches.drop(1);
  EXPECT_EQ(fetches.bytes(), 0u);
}

TEST(FetchBounds, AreInBytesOfAllAndOfOneClient) {
  std::vector<std::string> subtrees{""};
  const std::string prefix(240, 'p');
  for (int i = 0; i < 1000; ++i) subtrees.push_back(prefix + std::to_string(i) + "/");
  const Mirrored mirrored(subtrees);
  const Streams streams(mirrored, 1);
  Fetches fetches(mirrored, streams, 2);
  const auto open = [&](PeerId peer) {
    return fetches.open(peer, fetch_that_knows(1000, prefix), start);
  };
  int accepted = 0;
  wire::Fault fault = wire::Fault::none;
  for (; (fault = open(1)) == wire::Fault::none; ++accepted) continue;
  EXPECT_EQ(fault, wire::Fault::too_many_requests);
  EXPECT_GT(accepted, 20);
  EXPECT_LT(accepted, 32);
  EXPECT_LE(fetches.bytes(), Fetches::max_bytes_per_client);
  for (int i = 0; (fault = open(static_cast<PeerId>(i + 2))) == wire::Fault::none; ++i) continue;
  EXPECT_EQ(fault, wire::Fault::busy);
  EXPECT_LE(fetches.bytes(), Fetches::max_bytes);
  fetches.drop(1);
  EXPECT_EQ(open(100'000), wire::Fault::none) << "there is room again";
}

TEST_F(FetchesTest, WhatAnEarlierEpochKnewIsNoGround) {
  put("/a/1", "x");
  open({.request = 1, .subtree = "/a/", .known = {{"/a/", Revision(0, 5)}}, .credit = 1});
  serve();
  EXPECT_EQ(told.at(0).header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(results, "full sent");
}

// A client that has joined it says the same as one that has not.
TEST_F(FetchesTest, WhatMayBeKnownOfAnotherHistoryIsVoidedAndAllIsTold) {
  const native::Subscription subscription{.subtree = "/a/"};
  ASSERT_TRUE(streams.add(subscription));
  put("/a/1", "x");
  put("/a/2", "x");
  ASSERT_TRUE(mirrored.sync(0, 1).new_history);
  put("/a/3", "y");
  put("/a/3", "z");
  open({.request = 1,
        .topic = native::topic(subscription),
        .subtree = "/a/",
        .known = {{"/a/", Revision(1, 1)}},
        .credit = 2});
  serve();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].header.revision, Revision());
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_EQ(told[0].header.incarnation, streams.cut(subscription)->incarnation);
  EXPECT_TRUE(told[0].entries.empty());
  EXPECT_EQ(told[1].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(told[1].header.revision, Revision(1, 2));
  EXPECT_THAT(told[1].entries, ElementsAre("/a/3=z"));
  told.clear();

  open({.request = 2, .subtree = "/a/", .credit = 1});
  serve();
  EXPECT_EQ(told.size(), 1u) << "nothing is known";
  told.clear();

  mirrored.sync(0, 2);
  open({.request = 3, .subtree = "/a/", .known = {{"/a/", Revision(2, 0)}}, .credit = 1});
  serve();
  ASSERT_EQ(told.size(), 1u) << "this epoch was never used before";
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
}

TEST_F(FetchesTest, WaitsForAMirrorThatLagsBehindTheClientAndNotForEver) {
  put("/a/1", "x");
  const Revision ahead(1, 2);
  open({.request = 1, .subtree = "/a/", .known = {{"/a/", ahead}}, .credit = 1});
  serve();
  EXPECT_TRUE(told.empty());
  put("/a/1", "y");
  serve(start + 1ms);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_TRUE(told[0].entries.empty());

  open({.request = 2, .subtree = "/a/", .known = {{"/a/", Revision(1, 9)}}, .credit = 1});
  serve(start + Fetches::catch_up);
  EXPECT_EQ(told.size(), 1u);
  serve(start + Fetches::catch_up + 1ms);
  EXPECT_EQ(told.at(1).header.mode, ChunkHeader::Mode::full);
}

TEST_F(FetchesTest, JoinsOnToItsStreamAtTheCut) {
  const native::Subscription subscription{.subtree = "/a/"};
  ASSERT_TRUE(streams.add(subscription));
  put("/a/1", "x");
  open({.request = 1, .topic = native::topic(subscription), .subtree = "/a/", .credit = 1});
  serve();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.incarnation, 100u);
  EXPECT_EQ(told[0].header.position, 1u);
  streams.remove(subscription);
  open({.request = 2, .topic = native::topic(subscription), .subtree = "/a/", .credit = 1});
  serve();
  EXPECT_EQ(fault, wire::Fault::not_subscribed);
  EXPECT_EQ(fetches.size(), 0u);
}

TEST_F(FetchesTest, SendsOnlyUnderCreditAndGivesUpOnWhoTakesNothing) {
  for (const char* key : {"/a/1", "/a/2", "/a/3"}) put(key, std::string(200'000, 'x'));
  open({.request = 1, .subtree = "/a/", .credit = 1});
  EXPECT_FALSE(serve());
  EXPECT_EQ(told.size(), 1u);
  fetches.credit(1, {.request = 2, .chunks = 1});
  fetches.credit(2, {.request = 1, .chunks = 1});
  EXPECT_FALSE(serve());
  EXPECT_EQ(told.size(), 1u);
  fetches.credit(1, {.request = 1, .chunks = 1});
  serve();
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].header.more, ChunkHeader::More::same_partition);
  serve(start + Fetches::patience + 1ms);
  EXPECT_EQ(results, "timeout");
  EXPECT_EQ(fetches.size(), 0u);
}

TEST_F(FetchesTest, KeepsAChunkThatTheClientHasNoRoomFor) {
  put("/a/1", "x");
  open({.request = 1, .subtree = "/a/", .credit = 1});
  delivery = Fetches::Delivery::blocked;
  EXPECT_FALSE(serve());
  put("/a/1", "later");  // the cut stands
  delivery = Fetches::Delivery::sent;
  serve();
  EXPECT_THAT(told.at(0).entries, ElementsAre("/a/1=x"));
  open({.request = 2, .subtree = "/a/", .credit = 1});
  delivery = Fetches::Delivery::gone;
  serve();
  EXPECT_EQ(results, "sentclient_gone");
}

TEST_F(FetchesTest, WhoWaitsForCreditHoldsNobodyUp) {
  for (const char* key : {"/a/1", "/a/2"}) put(key, std::string(200'000, 'x'));
  for (std::uint64_t request = 1; request <= 3; ++request) {
    open({.request = request, .subtree = "/a/", .credit = 1}, 2);
  }
  serve();
  serve();
  ASSERT_EQ(told.size(), 3u);
  put("/b", "y");
  open({.request = 9, .subtree = "/b", .credit = 1}, 2);
  serve();
  EXPECT_EQ(told.back().header.request, 9u);
}

TEST_F(FetchesTest, ClientsWithoutRoomHoldNobodyUp) {
  put("/a/1", "x");
  without_room = {1, 2};
  for (PeerId peer = 1; peer <= 2; ++peer) {
    open({.request = 1, .subtree = "/a/", .credit = 4}, peer);
  }
  serve();
  open({.request = 9, .subtree = "/a/", .credit = 4}, 3);
  serve();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.request, 9u);
}

TEST_F(FetchesTest, ManyWhoWaitForCreditKeepNobodyAwake) {
  put("/a/1", "x");
  put("/b", "y");
  constexpr std::size_t many = 3 * Fetches::chunks_per_turn;
  for (std::size_t i = 0; i < many; ++i) {
    open({.request = i, .subtree = "", .credit = 1}, i);
  }
  for (std::size_t i = 0; i < many; ++i) serve();
  EXPECT_EQ(told.size(), many) << "a chunk each, and the other when there is credit";
  EXPECT_FALSE(serve()) << "nothing can be sent at once";
}

TEST_F(FetchesTest, BoundsWhatOneClientMayAsk) {
  for (std::size_t i = 0; i < Fetches::max_per_client; ++i) {
    ASSERT_EQ(open({.request = i, .subtree = "/a/"}), wire::Fault::none);
  }
  EXPECT_EQ(open({.request = 99, .subtree = "/a/"}), wire::Fault::too_many_requests);
  EXPECT_EQ(open({.request = 99, .subtree = "/a/"}, 3), wire::Fault::none);
}

TEST_F(FetchesTest, ALaterFetchForTheSameStreamReplacesTheEarlier) {
  const native::Subscription subscription{.subtree = "/a/"};
  ASSERT_TRUE(streams.add(subscription));
  const std::string topic = native::topic(subscription);
  for (std::uint64_t request = 1; request <= 2 * Fetches::max_per_client; ++request) {
    ASSERT_EQ(open({.request = request, .topic = topic, .subtree = "/a/"}), wire::Fault::none);
  }
  EXPECT_EQ(fetches.size(), 1u);
  serve();
  EXPECT_EQ(told.at(0).header.request, 2 * Fetches::max_per_client);
}

TEST_F(FetchesTest, ATurnLooksAtABoundedNumberOfDeletions) {
  constexpr std::size_t deleted = 100'000, clients = 8;
  put("/a/here", "x");
  const Revision known = mirrored.mirror(0)->revision();
  for (std::size_t i = 0; i < deleted; ++i) put("/a/" + std::to_string(i), "");
  Fetches all{mirrored, streams, clients};
  for (std::size_t i = 0; i < clients; ++i) {
    ASSERT_EQ(
        all.open(i + 1, {.request = 1, .subtree = "/a/", .known = {{"/a/", known}}, .credit = 64},
                 start),
        wire::Fault::none);
  }
  std::size_t turns = 0;
  std::map<PeerId, std::size_t> entries;
  const Fetches::Sink sink{.send =
                               [&](PeerId peer, const std::string& frame) {
                                 take(frame);
                                 entries[peer] += told.back().entries.size();
                                 return Fetches::Delivery::sent;
                               },
                           .refuse = [](PeerId, std::uint64_t, wire::Fault, std::string_view) {},
                           .finished = [](const char*, base::Duration) {},
                           .resynced = [](bool) {}};
  for (bool more = true; more; ++turns) {
    const std::uint64_t before = all.looked_at();
    more = all.serve(start, sink);
    ASSERT_LE(all.looked_at() - before, Fetches::entries_per_turn);
    // Later than the cut: told to nobody; and the first ones are forgotten meanwhile.
    for (int i = 0; i < 1000; ++i) put("/a/later", "");
  }
  EXPECT_GE(turns, clients * deleted / Fetches::entries_per_turn);
  EXPECT_EQ(entries.size(), clients);
  for (const auto& [peer, count] : entries) EXPECT_EQ(count, deleted) << peer;
  EXPECT_EQ(all.size(), 0u);
}

TEST_F(FetchesTest, AChunkTakesSeveralTurnsToFillAndComesAtLastWithLittleInIt) {
  constexpr std::size_t unchanged = 2 * Fetches::entries_per_chunk + 10;
  for (std::size_t i = 0; i < unchanged; ++i) put("/a/" + std::to_string(i), "x");
  const Revision known = mirrored.mirror(0)->revision();
  put("/a/new", "x");
  open({.request = 1, .subtree = "/a/", .known = {{"/a/", known}}, .credit = 4});
  std::size_t turns = 0;
  for (bool more = true; more; ++turns) {
    const std::uint64_t before = fetches.looked_at();
    more = serve();
    ASSERT_LE(fetches.looked_at() - before, Fetches::entries_per_turn);
  }
  EXPECT_GE(turns, unchanged / Fetches::entries_per_turn);
  ASSERT_EQ(told.size(), 3u) << "a client is not left without a sign for long";
  EXPECT_TRUE(told[0].entries.empty());
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::same_partition);
  EXPECT_TRUE(told[1].entries.empty());
  EXPECT_THAT(told[2].entries, ElementsAre("/a/new=x"));
  EXPECT_EQ(told[2].header.more, ChunkHeader::More::last);
}

TEST_F(FetchesTest, ATurnAsksABoundedNumberOfPartitionsForThoseThatWait) {
  constexpr std::size_t behind = 2 * Fetches::partitions_per_turn;
  for (std::size_t i = 0; i < behind; ++i) {
    open({.request = 1, .subtree = "/a/", .known = {{"/a/", Revision(1, 9)}}, .credit = 1}, i + 2);
  }
  open({.request = 7, .subtree = "/a/", .credit = 1});
  serve();
  EXPECT_TRUE(told.empty()) << "its turn has not come";
  for (int i = 0; i < 4; ++i) serve();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.request, 7u);
  EXPECT_EQ(fetches.size(), behind);
}

TEST_F(FetchesTest, RefusesWhatIsNotMirroredInTime) {
  Mirrored empty{{""}};
  Fetches none{empty, streams, 2};
  const Fetches::Sink sink{
      .send =
          [this](PeerId peer, const std::string& frame) {
            return without_room.contains(peer) ? Fetches::Delivery::blocked : take(frame);
          },
      .refuse = [this](PeerId, std::uint64_t, wire::Fault why, std::string_view) { fault = why; },
      .finished = [this](const char* result, base::Duration) { results += result; },
      .resynced = [](bool) {}};
  ASSERT_EQ(none.open(1, {.request = 1, .subtree = ""}, start), wire::Fault::none);
  none.serve(start + Fetches::patience, sink);
  EXPECT_EQ(results, "");
  none.serve(start + Fetches::patience + 1ms, sink);
  EXPECT_EQ(results, "unavailable");
  EXPECT_EQ(fault, wire::Fault::partition_unavailable);
}

}  // namespace
}  // namespace canopy::proxy
