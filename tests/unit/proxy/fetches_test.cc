#include "proxy/fetches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  wire::Fault open(native::Fetch fetch, const std::string& peer = "peer") {
    return fetches.open(peer, std::move(fetch), start);
  }
  bool serve(base::TimePoint now = start) {
    return fetches.serve(
        now, {.send = [this](const std::string&, const std::string& frame) { return take(frame); },
              .refuse = [this](const std::string&, std::uint64_t, wire::Fault why,
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

TEST_F(FetchesTest, WhatAnEarlierEpochKnewIsNoGround) {
  put("/a/1", "x");
  open({.request = 1, .subtree = "/a/", .known = {{"/a/", Revision(0, 5)}}, .credit = 1});
  serve();
  EXPECT_EQ(told.at(0).header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(results, "full sent");
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
  fetches.credit("peer", {.request = 2, .chunks = 1});
  fetches.credit("other", {.request = 1, .chunks = 1});
  EXPECT_FALSE(serve());
  EXPECT_EQ(told.size(), 1u);
  fetches.credit("peer", {.request = 1, .chunks = 1});
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
    open({.request = request, .subtree = "/a/", .credit = 1}, "slow");
  }
  serve();
  serve();
  ASSERT_EQ(told.size(), 3u);
  put("/b", "y");
  open({.request = 9, .subtree = "/b", .credit = 1}, "other");
  serve();
  EXPECT_EQ(told.back().header.request, 9u);
}

TEST_F(FetchesTest, ManyWhoWaitForCreditKeepNobodyAwake) {
  put("/a/1", "x");
  put("/b", "y");
  constexpr std::size_t many = 3 * Fetches::chunks_per_turn;
  for (std::size_t i = 0; i < many; ++i) {
    open({.request = i, .subtree = "", .credit = 1}, "peer" + std::to_string(i));
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
  EXPECT_EQ(open({.request = 99, .subtree = "/a/"}, "another"), wire::Fault::none);
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

TEST_F(FetchesTest, RefusesWhatIsNotMirroredInTime) {
  Mirrored empty{{""}};
  Fetches none{empty, streams, 2};
  const Fetches::Sink sink{
      .send = [this](const std::string&, const std::string& frame) { return take(frame); },
      .refuse = [this](const std::string&, std::uint64_t, wire::Fault why,
                       std::string_view) { fault = why; },
      .finished = [this](const char* result, base::Duration) { results += result; },
      .resynced = [](bool) {}};
  ASSERT_EQ(none.open("peer", {.request = 1, .subtree = ""}, start), wire::Fault::none);
  none.serve(start + Fetches::patience, sink);
  EXPECT_EQ(results, "");
  none.serve(start + Fetches::patience + 1ms, sink);
  EXPECT_EQ(results, "unavailable");
  EXPECT_EQ(fault, wire::Fault::partition_unavailable);
}

}  // namespace
}  // namespace canopy::proxy
