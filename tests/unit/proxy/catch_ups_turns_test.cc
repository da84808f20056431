// The order in which CatchUps serves clients, and the bounds of a turn.
#include "tests/unit/proxy/catch_ups_bench.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using keyspace::Revision;
using native::ChunkHeader;
using testing::ElementsAre;

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
  using Kind = CatchUps::Kind;
  constexpr base::TimePoint start{1h};
  struct Nobody final : CatchUps::Owner {
    void on_cut(net::Connection&, std::uint64_t) override {}
    void on_sent(net::Connection&, Kind, std::uint64_t, std::vector<Known>,
                 base::Duration) override {}
    void on_unavailable(net::Connection&, Kind, std::uint64_t) override {}
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
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunks[2].entries.at(0).size(), 200'005u);
  EXPECT_EQ(chunks[0].header.more, ChunkHeader::More::same_partition);
  EXPECT_EQ(results, "sent ");
}

TEST_F(CatchUpsTest, ClientsWithoutRoomDelayNoOtherClient) {
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
  EXPECT_TRUE(std::ranges::any_of(chunks, [](const SentChunk& one) {
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

TEST_F(CatchUpsTest, ADroppedRequestIsNotServed) {
  put("/a/1", "x");
  for (std::uint64_t number = 1; number <= 3; ++number) {
    open({.number = number, .subtree = "/a/"});
  }
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(1, 9)}}}, 2);
  serve(start);  // which waits
  open({.number = 4, .subtree = "/a/"});
  open({.number = 5, .subtree = "/a/"});
  chunks.clear();
  catch_ups.drop(connection(1), 4);
  EXPECT_EQ(catch_ups.drop(connection(2)), 1u);
  EXPECT_FALSE(catch_ups.next_deadline());
  serve_all();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].header.request, 5u);
  EXPECT_EQ(catch_ups.drop(connection(1)), 0u);
}

TEST_F(CatchUpsTest, ATurnExaminesABoundedNumberOfDeletions) {
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
    const std::uint64_t before = catch_ups.examined();
    more = serve();
    ASSERT_LE(catch_ups.examined() - before, CatchUps::entries_per_turn);
    put("/a/later", "");
  }
  EXPECT_GE(turns, clients * deleted / CatchUps::entries_per_turn);
  std::size_t entries = 0;
  for (const SentChunk& one : chunks) {
    if (one.header.mode == ChunkHeader::Mode::changes) entries += one.entries.size();
  }
  EXPECT_GE(entries, clients * deleted);
  EXPECT_EQ(catch_ups.size(), 0u);
}

TEST_F(CatchUpsTest, AChunkMayTakeSeveralTurnsToFill) {
  constexpr std::size_t unchanged = 2 * CatchUps::entries_per_chunk + 10;
  for (std::size_t i = 0; i < unchanged; ++i) put("/a/" + std::to_string(i), "x");
  const Revision known = mirrored.mirror(0)->revision();
  put("/a/new", "x");
  open({.number = 1, .subtree = "/a/", .known = {{0, known}}});
  std::size_t turns = 0;
  for (bool more = true; more; ++turns) {
    const std::uint64_t before = catch_ups.examined();
    more = serve();
    ASSERT_LE(catch_ups.examined() - before, CatchUps::entries_per_turn);
  }
  EXPECT_GE(turns, unchanged / CatchUps::entries_per_turn);
  ASSERT_EQ(chunks.size(), 3u) << "a client is not left without a sign for long";
  EXPECT_TRUE(chunks[0].entries.empty());
  EXPECT_EQ(chunks[0].header.more, ChunkHeader::More::same_partition);
  EXPECT_TRUE(chunks[1].entries.empty());
  EXPECT_THAT(chunks[2].entries, ElementsAre("/a/new=x"));
  EXPECT_EQ(chunks[2].header.more, ChunkHeader::More::last);
}

TEST_F(CatchUpsTest, RefusesARequestWhoseMirrorIsNotThereInTime) {
  Mirrored empty{{""}};
  CatchUps none{empty, {}, *this};
  ASSERT_EQ(none.open(connection(1), {.number = 1, .subtree = ""}, start), wire::Fault::none);
  EXPECT_FALSE(none.serve(start));
  EXPECT_EQ(none.next_deadline(), start + CatchUps::mirror_timeout);
  none.serve(start + CatchUps::mirror_timeout - 1ms);
  EXPECT_EQ(results, "");
  none.serve(start + CatchUps::mirror_timeout);
  EXPECT_EQ(results, "unavailable ");
  EXPECT_EQ(none.size(), 0u);
}

TEST_F(CatchUpsTest, ARequestHoldsItsMirrorsUntilItIsAnswered) {
  MirrorLeases leases;
  put("/a/1", "x");
  open({.number = 1,
        .subtree = "/a/",
        .known = {{0, Revision(1, 2)}},
        .lease = leases.hold("", {0})});
  serve();
  EXPECT_FALSE(leases.expired(0, start, 0s)) << "it waits";
  put("/a/1", "y");
  EXPECT_FALSE(leases.expired(0, start, 0s));
  serve_all();
  EXPECT_EQ(results, "sent ");
  EXPECT_TRUE(leases.expired(0, start, 0s));
}

}  // namespace
}  // namespace canopy::proxy
