#include "tests/unit/proxy/catch_ups_bench.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;
using keyspace::Revision;
using native::ChunkHeader;
using testing::ElementsAre;

TEST_F(CatchUpsTest, SendsEveryPartitionBelowTheSubtree) {
  put("/a/1", "x");
  put("/b", "y");
  put("/a/2", "z");
  put("/a/2", "");  // deleted
  ASSERT_EQ(open({.kind = Kind::watch, .number = 7, .subtree = ""}), wire::Fault::none);
  serve_all();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].header.request, 7u);
  EXPECT_EQ(chunks[0].header.partition, "") << "the owner of the subtree comes first";
  EXPECT_EQ(chunks[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_EQ(chunks[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_THAT(chunks[0].entries, ElementsAre("/b=y"));
  EXPECT_EQ(chunks[1].header.more, ChunkHeader::More::last);
  EXPECT_EQ(chunks[1].header.revision, Revision(1, 3));
  EXPECT_THAT(chunks[1].entries, ElementsAre("/a/1=x"));
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
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_THAT(chunks[0].entries, ElementsAre("/b=1"));
}

TEST_F(CatchUpsTest, AListEndsAtItsLimit) {
  for (const char* key : {"/a/1", "/a/2", "/b", "/c"}) put(key, "x");
  open({.number = 1, .subtree = "", .limit = 3});
  serve_all();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_THAT(chunks[0].entries, ElementsAre("/b=x", "/c=x"));
  EXPECT_THAT(chunks[1].entries, ElementsAre("/a/1=x"));
  EXPECT_EQ(chunks[1].header.more, ChunkHeader::More::last);
  chunks.clear();
  open({.number = 1, .subtree = "", .limit = 2});
  serve_all();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].header.more, ChunkHeader::More::last) << "the other partition is left out";
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
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_THAT(chunks[0].entries, ElementsAre("-/a/3", "/a/2=new", "/a/4=again"));
  EXPECT_EQ(results, "changes sent ");
}

TEST_F(CatchUpsTest, AnotherRoundMayBeginAtTheEndOfOne) {
  put("/a/1", "x");
  again = true;
  open({.kind = Kind::watch, .number = 1, .subtree = "/a/"});
  serve_all();
  EXPECT_EQ(results, "cut1 sent cut1 sent ");
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].header.mode, ChunkHeader::Mode::changes);
  EXPECT_TRUE(chunks[1].entries.empty());
  EXPECT_EQ(catch_ups.size(), 0u);
}

TEST_F(CatchUpsTest, RevisionsOfAnEarlierEpochAreNotUsed) {
  put("/a/1", "x");
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(0, 5)}}, .resumes = true});
  serve_all();
  EXPECT_EQ(chunks.at(0).header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(results, "full sent ");
}

TEST_F(CatchUpsTest, RevisionsOfAnotherHistoryAreVoidedAndAllIsSent) {
  put("/a/1", "x");
  ASSERT_TRUE(mirrored.sync(0, 1).new_history);
  put("/a/3", "y");
  put("/a/3", "z");
  open({.number = 1, .subtree = "/a/", .known = {{0, Revision(1, 1)}}});
  serve_all();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].header.revision, Revision());
  EXPECT_EQ(chunks[0].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(chunks[0].header.more, ChunkHeader::More::next_partition);
  EXPECT_TRUE(chunks[0].entries.empty());
  EXPECT_EQ(chunks[1].header.mode, ChunkHeader::Mode::full);
  EXPECT_EQ(chunks[1].header.revision, Revision(1, 2));
  EXPECT_THAT(chunks[1].entries, ElementsAre("/a/3=z"));
  chunks.clear();

  open({.number = 2, .subtree = "/a/"});
  serve_all();
  EXPECT_EQ(chunks.size(), 1u) << "nothing is known";
  chunks.clear();

  mirrored.sync(0, 2);
  open({.number = 3, .subtree = "/a/", .known = {{0, Revision(2, 0)}}});
  serve_all();
  ASSERT_EQ(chunks.size(), 1u) << "this epoch was never used before";
  EXPECT_EQ(chunks[0].header.mode, ChunkHeader::Mode::changes);
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
  std::map<std::uint64_t, std::size_t> counts;
  for (const SentChunk& one : chunks) {
    ++counts[one.header.request];
    EXPECT_EQ(one.header.mode, ChunkHeader::Mode::full);
  }
  EXPECT_EQ(counts, (std::map<std::uint64_t, std::size_t>{{1, 2}, {2, 1}, {3, 2}}));

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
  EXPECT_TRUE(chunks.empty());
  EXPECT_EQ(catch_ups.next_deadline(), start + CatchUps::lag_timeout);
  put("/a/1", "y");
  serve(start + 1ms);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].header.mode, ChunkHeader::Mode::changes);
  EXPECT_TRUE(chunks[0].entries.empty());
  EXPECT_FALSE(catch_ups.next_deadline());

  open({.number = 2, .subtree = "/a/", .known = {{0, Revision(1, 9)}}});
  serve(start + CatchUps::lag_timeout - 1ms);
  EXPECT_EQ(chunks.size(), 1u);
  serve(start + CatchUps::lag_timeout);
  EXPECT_EQ(chunks.at(1).header.mode, ChunkHeader::Mode::full);
}

}  // namespace
}  // namespace canopy::proxy
