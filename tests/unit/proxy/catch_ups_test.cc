#include "proxy/catch_ups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "tests/unit/proxy/fake_connection.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using keyspace::Revision;
using native::ChunkHeader;
using testing::ElementsAre;
constexpr base::TimePoint start{1h};
using Kind = CatchUps::Kind;

struct Told {
  ChunkHeader header{};
  std::vector<std::string> entries{};
};

// Nothing is done on these events: the tests call drained() themselves.
struct Deaf final : net::ConnectionEvents {
  void on_ready(net::Connection&) override {}
  void on_message(net::Connection&, std::span<const std::string_view>) override {}
  void on_subscription(net::Connection&, std::string_view, bool) override {}
  void on_drained(net::Connection& connection) override { drained = connection.id(); }
  void on_closed(net::Connection&, std::string_view) override {}
  std::uint64_t drained = 0;
};

class CatchUpsTest : public testing::Test, public CatchUps::Owner {
 protected:
  static constexpr std::size_t full = 64 << 10;

  CatchUpsTest() {
    mirrored.sync(0);
    mirrored.sync(1);
    catch_ups.begin();
  }

  void put(const std::string& key, const std::string& value) { mirrored.update(key, value); }
  FakeConnection& connection(std::uint64_t id) {
    auto& one = connections[id];
    if (one == nullptr) one = std::make_unique<FakeConnection>(id, full, full / 4);
    return *one;
  }
  wire::Fault open(CatchUps::Request request, std::uint64_t id = 1) {
    return catch_ups.open(connection(id), std::move(request), start);
  }
  bool serve(base::TimePoint now = start) {
    const bool more = catch_ups.serve(now);
    for (auto& [id, one] : connections) {
      if (!stuck.contains(id)) read(*one);
    }
    return more;
  }
  void serve_all() {
    while (serve()) continue;
  }
  void read(FakeConnection& one) {
    events.drained = 0;
    for (const std::string& frame : one.drain(events)) take(one.id(), frame);
    if (events.drained != 0) catch_ups.drained(one);
  }
  void take(std::uint64_t id, const std::string& frame) {
    native::FromProxy message;
    const auto status = native::decode_from_proxy(frame, message);
    ASSERT_TRUE(status) << status.error();
    if (const auto* got = std::get_if<native::Got>(&message)) {
      results += got->entry ? "got " + std::string(got->entry->value) : "nothing";
      return;
    }
    const auto& chunk = std::get<native::Chunk>(message);
    Told one{.header = chunk.header};
    for (const auto& entry : chunk.entries) {
      one.entries.push_back(entry.deleted
                                ? "-" + std::string(entry.key)
                                : std::string(entry.key) + "=" + std::string(entry.value));
    }
    chunks_of[id] += 1;
    told.push_back(std::move(one));
  }

  void on_cut(net::Connection&, std::uint64_t number) override {
    results += "cut" + std::to_string(number) + " ";
  }
  void on_sent(net::Connection& its, Kind, std::uint64_t, std::vector<Known> now_has,
               base::Duration) override {
    results += "sent ";
    has = std::move(now_has);
    if (!again) return;
    again = false;
    catch_ups.reopen(its, {.kind = Kind::watch, .number = 1, .subtree = "/a/", .known = has},
                     start);
  }
  void on_unavailable(net::Connection&, Kind, std::uint64_t, base::Duration) override {
    results += "unavailable ";
  }
  void on_resync(bool changes) override { results += changes ? "changes " : "full "; }

  Mirrored mirrored{{"/a/", ""}};
  CatchUps catch_ups{mirrored, {.max_served = 2, .full_bytes = full}, *this};
  std::map<std::uint64_t, std::unique_ptr<FakeConnection>> connections;
  std::set<std::uint64_t> stuck;  // connections that are not read
  Deaf events;
  std::vector<Told> told;
  std::map<std::uint64_t, std::size_t> chunks_of;
  std::string results;
  std::vector<Known> has;
  bool again = false;
};

TEST_F(CatchUpsTest, SendsEveryPartitionBelowTheSubtree) {
  put("/a/1", "x");
  put("/b", "y");
  put("/a/2", "z");
  put("/a/2", "");  // deleted
  ASSERT_EQ(open({.kind = Kind::watch, .number = 7, .subtree = ""}), wire::Fault::none);
  serve_all();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].header.request, 7u);
  EXPECT_EQ(told[0].header.partition, "") << "the owner of the subtree comes first";
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_THAT(told[0].entries, ElementsAre("/b=y"));
  EXPECT_EQ(told[1].header.more, ChunkHeader::More::last);
  EXPECT_EQ(told[1].header.revision, Revision(1, 3));
  EXPECT_THAT(told[1].entries, ElementsAre("/a/1=x"));
  EXPECT_EQ(results, "cut7 sent ");
  ASSERT_EQ(has.size(), 2u);
  EXPECT_EQ(has[0].partition, 0u);
  EXPECT_EQ(has[0].revision, Revision(1, 3));
  EXPECT_EQ(catch_ups.size(), 0u);
}

TEST_F(CatchUpsTest, AFullKeyIsASubtreeOfOne) {
  put("/b", "1");
  put("/bc", "2");
  open({.number = 1, .subtree = "/b"});
  serve_all();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].entries, ElementsAre("/b=1"));
}

TEST_F(CatchUpsTest, AListEndsAtItsLimit) {
  for (const char* key : {"/a/1", "/a/2", "/b", "/c"}) put(key, "x");
  open({.number = 1, .subtree = "", .limit = 3});
  serve_all();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[0].entries, ElementsAre("/b=x", "/c=x"));
  EXPECT_THAT(told[1].entries, ElementsAre("/a/1=x"));
  EXPECT_EQ(told[1].header.more, ChunkHeader::More::last);
  told.clear();
  open({.number = 1, .subtree = "", .limit = 2});
  serve_all();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::last) << "the other partition is left out";
}

TEST_F(CatchUpsTest, AGetIsAnsweredByTheOwnerOfTheKeyAlone) {
  put("/a/1", "x");
  open({.kind = Kind::get, .number = 1, .subtree = "/a/1"});
  open({.kind = Kind::get, .number = 2, .subtree = "/a/2"});
  serve_all();
  EXPECT_EQ(results, "sent sent got xnothing");
  results.clear();

  Mirrored one_there{{"", "/a/"}};
  one_there.sync(0);
  CatchUps some{one_there, {}, *this};
  some.begin();
  some.open(connection(1), {.kind = Kind::get, .number = 1, .subtree = "/a"}, start);
  some.serve(start);
  EXPECT_EQ(results, "sent ");
}

TEST_F(CatchUpsTest, SendsWhatChangedSinceTheKnownRevision) {
  for (const char* key : {"/a/1", "/a/2", "/a/3", "/a/4"}) put(key, "old");
  const Revision known = mirrored.mirror(0)->revision();
  put("/a/2", "new");
  put("/a/3", "");
  put("/a/4", "");
  put("/a/4", "again");
  open({.number = 1, .subtree = "/a/", .known = {{0, known}}, .resumes = true});
  serve_all();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_THAT(told[0].entries, ElementsAre("-/a/3", "/a/2=new", "/a/4=again"));
  EXPECT_EQ(results, "changes sent ");
}

TEST_F(CatchUpsTest, AnotherRoundMayBeginAtTheEndOfOne) {
  put("/a/1", "x");
  again = true;
  open({.kind = Kind::watch, .number = 1, .subtree = "/a/"});
  serve_all();
  EXPECT_EQ(results, "cut1 sent cut1 sent ");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].header.mode, ChunkHeader::Mode::changes);
  EXPECT_TRUE(told[1].entries.empty());
  EXPECT_EQ(catch_ups.size(), 0u);
}

CatchUps::Request request_that_knows(std::size_t partitions) {
  CatchUps::Request request{.number = 0, .subtree = ""};
  for (std::size_t i = 0; i < partitions; ++i) request.known.push_back({i, Revision(1, 1)});
  return request;
}

TEST_F(CatchUpsTest, KeepsOnlyTheRevisionsOfTheSubtree) {
  CatchUps::Request request = request_that_knows(2);
  request.subtree = "/a/";
  ASSERT_EQ(open(request_that_knows(4096)), wire::Fault::none);
  EXPECT_EQ(catch_ups.known_bytes(), 2 * sizeof(Known));
  catch_ups.drop(connection(1), 0);
  EXPECT_EQ(catch_ups.known_bytes(), 0u);
}

TEST(CatchUpBounds, AreInBytesOfAllAndOfOneClient) {
  struct Nobody final : CatchUps::Owner {
    void on_cut(net::Connection&, std::uint64_t) override {}
    void on_sent(net::Connection&, Kind, std::uint64_t, std::vector<Known>,
                 base::Duration) override {}
    void on_unavailable(net::Connection&, Kind, std::uint64_t, base::Duration) override {}
    void on_resync(bool) override {}
  } nobody;
  std::vector<std::string> subtrees{""};
  for (int i = 0; i < 3999; ++i) subtrees.push_back(std::to_string(i) + "/");
  const Mirrored mirrored(subtrees);
  CatchUps catch_ups(mirrored, {}, nobody);
  std::deque<FakeConnection> connections;
  std::uint64_t number = 0;
  const auto open = [&](std::size_t peer) {
    while (connections.size() <= peer) connections.emplace_back(connections.size() + 1);
    CatchUps::Request request = request_that_knows(4000);
    request.number = ++number;
    return catch_ups.open(connections[peer], std::move(request), start);
  };
  wire::Fault fault = wire::Fault::none;
  while ((fault = open(0)) == wire::Fault::none) continue;
  EXPECT_EQ(fault, wire::Fault::too_many_requests);
  EXPECT_LE(catch_ups.known_bytes(), CatchUps::max_known_bytes_per_client);
  EXPECT_GT(catch_ups.known_bytes(), CatchUps::max_known_bytes_per_client - 100'000);
  std::size_t peer = 1;
  while ((fault = open(peer)) != wire::Fault::busy) peer += fault != wire::Fault::none;
  EXPECT_LE(catch_ups.known_bytes(), CatchUps::max_known_bytes);
  EXPECT_GT(catch_ups.drop(connections[0]), 100u);
  EXPECT_EQ(open(peer + 1), wire::Fault::none) << "there is room again";
}

TEST_F(CatchUpsTest, WhatAnEarlierEpochKnewIsNoGround) {
  put("/a/1", "x");
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(0, 5)}}, .resumes = true});
  serve_all();
  EXPECT_EQ(told.at(0).header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(results, "full sent ");
}

TEST_F(CatchUpsTest, WhatMayBeKnownOfAnotherHistoryIsVoidedAndAllIsSent) {
  put("/a/1", "x");
  ASSERT_TRUE(mirrored.sync(0, 1).new_history);
  put("/a/3", "y");
  put("/a/3", "z");
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(1, 1)}}});
  serve_all();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].header.revision, Revision());
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_TRUE(told[0].entries.empty());
  EXPECT_EQ(told[1].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(told[1].header.revision, Revision(1, 2));
  EXPECT_THAT(told[1].entries, ElementsAre("/a/3=z"));
  told.clear();

  open({.number = 2, .subtree = "/a/"});
  serve_all();
  EXPECT_EQ(told.size(), 1u) << "nothing is known";
  told.clear();

  mirrored.sync(0, 2);
  open({.number = 3, .subtree = "/a/", .known = {{0, Revision(2, 0)}}});
  serve_all();
  ASSERT_EQ(told.size(), 1u) << "this epoch was never used before";
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
}

TEST_F(CatchUpsTest, ARenewalVoidsWhatARequestKnowsOrHas) {
  put("/a/1", "x");
  const Revision known = mirrored.mirror(0)->revision();
  open({.number = 1, .subtree = "/a/", .known = {{0, known}}});
  open({.number = 2, .subtree = "/a/"});
  open({.number = 3, .subtree = "/a/"});
  catch_ups.renew(connection(1), 1, 0, false);
  catch_ups.renew(connection(1), 2, 0, false);
  catch_ups.renew(connection(1), 3, 0, true);
  serve_all();
  std::map<std::uint64_t, std::size_t> chunks;
  for (const Told& one : told) {
    ++chunks[one.header.request];
    EXPECT_EQ(one.header.mode, ChunkHeader::Mode::full);
  }
  EXPECT_EQ(chunks, (std::map<std::uint64_t, std::size_t>{{1, 2}, {2, 1}, {3, 2}}));

  for (const char* key : {"/a/1", "/a/2", "/a/3"}) put(key, std::string(200'000, 'x'));
  stuck = {1};
  open({.kind = Kind::watch, .number = 4, .subtree = "/a/"});
  serve();
  catch_ups.renew(connection(1), 4, 0, false);
  stuck = {};
  read(connection(1));
  serve_all();
  ASSERT_EQ(has.size(), 1u);
  EXPECT_EQ(has[0].revision, Revision()) << "what is being sent is of the old history";
}

TEST_F(CatchUpsTest, WaitsForAMirrorThatLagsBehindTheClientAndNotForEver) {
  put("/a/1", "x");
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(1, 2)}}});
  EXPECT_FALSE(serve()) << "it is looked at when the mirror has moved";
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(catch_ups.next_deadline(), start + CatchUps::lag);
  put("/a/1", "y");
  serve(start + 1ms);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_TRUE(told[0].entries.empty());
  EXPECT_FALSE(catch_ups.next_deadline());

  open({.number = 2, .subtree = "/a/", .known = {{0, Revision(1, 9)}}});
  serve(start + CatchUps::lag - 1ms);
  EXPECT_EQ(told.size(), 1u);
  serve(start + CatchUps::lag);
  EXPECT_EQ(told.at(1).header.mode, ChunkHeader::Mode::full);
}

TEST_F(CatchUpsTest, AClientWhoseQueueIsFullGetsMoreWhenItHasDrained) {
  for (const char* key : {"/a/1", "/a/2", "/a/3"}) put(key, std::string(200'000, 'x'));
  stuck = {1};
  open({.number = 1, .subtree = "/a/"});
  EXPECT_TRUE(serve()) << "it may be drained before the turn is over";
  EXPECT_FALSE(serve());
  EXPECT_EQ(connection(1).queue().size(), 1u);
  put("/a/3", "later");  // the cut stands
  read(connection(1));
  EXPECT_TRUE(serve());
  EXPECT_FALSE(serve());
  EXPECT_EQ(connection(1).queue().size(), 1u);
  stuck = {};
  read(connection(1));
  serve_all();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].entries.at(0).size(), 200'005u);
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::same_partition);
  EXPECT_EQ(results, "sent ");
}

TEST_F(CatchUpsTest, ClientsWithoutRoomHoldNobodyUp) {
  for (const char* key : {"/a/1", "/a/2"}) put(key, std::string(200'000, 'x'));
  stuck = {1, 2};
  for (std::uint64_t id = 1; id <= 2; ++id) open({.number = 1, .subtree = "/a/"}, id);
  serve_all();
  open({.number = 9, .subtree = "/a/"}, 3);
  serve_all();
  EXPECT_EQ(chunks_of[3], 2u);
  EXPECT_EQ(catch_ups.size(), 2u);
}

TEST_F(CatchUpsTest, ClientsTakeTurnsAndSoDoTheRequestsOfOne) {
  for (int i = 0; i < 40; ++i) put("/a/" + std::to_string(i), std::string(200'000, 'x'));
  put("/b", "y");
  for (std::uint64_t number = 0; number < 10; ++number) {
    open({.number = number, .subtree = "/a/"}, 1);
  }
  open({.number = 1, .subtree = "/a/"}, 2);
  open({.number = 2, .subtree = "/b"}, 2);
  for (int turn = 0; turn < 4; ++turn) serve();
  EXPECT_LE(chunks_of[1], chunks_of[2] + 2);
  EXPECT_TRUE(std::ranges::any_of(told, [](const Told& one) {
    return one.header.request == 2 && one.header.more == ChunkHeader::More::last;
  })) << "a small one does not wait for a large one";
}

TEST_F(CatchUpsTest, ThousandsOfRequestsOfOneClientAreServed) {
  put("/a/1", "x");
  for (std::uint64_t number = 0; number < 5'000; ++number) {
    ASSERT_EQ(open({.kind = Kind::watch, .number = number, .subtree = "/a/"}), wire::Fault::none);
  }
  EXPECT_TRUE(catch_ups.contains(connection(1), 4'999));
  serve_all();
  EXPECT_EQ(chunks_of[1], 5'000u);
  EXPECT_EQ(catch_ups.size(), 0u);
}

TEST_F(CatchUpsTest, WhatIsDroppedIsNotServed) {
  put("/a/1", "x");
  for (std::uint64_t number = 1; number <= 3; ++number) {
    open({.number = number, .subtree = "/a/"});
  }
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(1, 9)}}}, 2);
  serve(start);  // which waits
  open({.number = 4, .subtree = "/a/"});
  open({.number = 5, .subtree = "/a/"});
  told.clear();
  catch_ups.drop(connection(1), 4);
  EXPECT_EQ(catch_ups.drop(connection(2)), 1u);
  EXPECT_FALSE(catch_ups.next_deadline());
  serve_all();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].header.request, 5u);
  EXPECT_EQ(catch_ups.drop(connection(1)), 0u);
}

TEST_F(CatchUpsTest, ATurnLooksAtABoundedNumberOfDeletions) {
  constexpr std::size_t deleted = 90'000, clients = 8;
  put("/a/here", "x");
  const Revision known = mirrored.mirror(0)->revision();
  for (std::size_t i = 0; i < deleted; ++i) put("/a/" + std::to_string(i), "");
  for (std::size_t i = 0; i < clients; ++i) {
    ASSERT_EQ(open({.number = 1, .subtree = "/a/", .known = {{0, known}}}, i + 1),
              wire::Fault::none);
  }
  std::size_t turns = 0;
  for (bool more = true; more; ++turns) {
    const std::uint64_t before = catch_ups.looked_at();
    more = serve();
    ASSERT_LE(catch_ups.looked_at() - before, CatchUps::entries_per_turn);
    put("/a/later", "");
  }
  EXPECT_GE(turns, clients * deleted / CatchUps::entries_per_turn);
  std::size_t entries = 0;
  for (const Told& one : told) {
    if (one.header.mode == ChunkHeader::Mode::changes) entries += one.entries.size();
  }
  EXPECT_GE(entries, clients * deleted);
  EXPECT_EQ(catch_ups.size(), 0u);
}

TEST_F(CatchUpsTest, AChunkTakesSeveralTurnsToFillAndComesAtLastWithLittleInIt) {
  constexpr std::size_t unchanged = 2 * CatchUps::entries_per_chunk + 10;
  for (std::size_t i = 0; i < unchanged; ++i) put("/a/" + std::to_string(i), "x");
  const Revision known = mirrored.mirror(0)->revision();
  put("/a/new", "x");
  open({.number = 1, .subtree = "/a/", .known = {{0, known}}});
  std::size_t turns = 0;
  for (bool more = true; more; ++turns) {
    const std::uint64_t before = catch_ups.looked_at();
    more = serve();
    ASSERT_LE(catch_ups.looked_at() - before, CatchUps::entries_per_turn);
  }
  EXPECT_GE(turns, unchanged / CatchUps::entries_per_turn);
  ASSERT_EQ(told.size(), 3u) << "a client is not left without a sign for long";
  EXPECT_TRUE(told[0].entries.empty());
  EXPECT_EQ(told[0].header.more, ChunkHeader::More::same_partition);
  EXPECT_TRUE(told[1].entries.empty());
  EXPECT_THAT(told[2].entries, ElementsAre("/a/new=x"));
  EXPECT_EQ(told[2].header.more, ChunkHeader::More::last);
}

TEST_F(CatchUpsTest, RefusesWhatIsNotMirroredInTime) {
  Mirrored empty{{""}};
  CatchUps none{empty, {}, *this};
  ASSERT_EQ(none.open(connection(1), {.number = 1, .subtree = ""}, start), wire::Fault::none);
  EXPECT_FALSE(none.serve(start));
  EXPECT_EQ(none.next_deadline(), start + CatchUps::patience);
  none.begin();
  none.serve(start + CatchUps::patience - 1ms);
  EXPECT_EQ(results, "");
  none.serve(start + CatchUps::patience);
  EXPECT_EQ(results, "unavailable ");
  EXPECT_EQ(none.size(), 0u);
}

TEST_F(CatchUpsTest, NothingIsAnsweredBeforeTheBeginning) {
  CatchUps early{mirrored, {}, *this};
  early.open(connection(1), {.number = 1, .subtree = "/a/"}, start);
  early.serve(start);
  EXPECT_EQ(results, "");
  early.begin();
  early.serve(start);
  EXPECT_EQ(results, "sent ");
}

}  // namespace
}  // namespace canopy::proxy
