#include "client/writes.h"

#include <gmock/gmock.h>

#include "core/base/limits.h"
#include "tests/unit/client/world.h"

namespace canopy::client {
namespace {

using model::World;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

unsigned number(wire::Fault fault) { return static_cast<unsigned>(fault); }

std::vector<std::uint64_t> numbers(const std::vector<wire::WriteRequest>& requests) {
  std::vector<std::uint64_t> found;
  for (const auto& each : requests) found.push_back(each.number);
  return found;
}

TEST(Writes, AreAnsweredWithTheirRevision) {
  World world;
  world.start();
  world.write(1, "/a", "x");
  world.session->write(2, {{.key = "/b", .value = "y"}, {.key = "/a", .deletes = true}},
                       world.now());
  world.settle();
  EXPECT_TRUE(world.answers.at(1).ok());
  EXPECT_EQ(world.answers.at(1).revision, keyspace::Revision(1, 1));
  EXPECT_EQ(world.answers.at(2).revision, keyspace::Revision(1, 3));
  EXPECT_EQ(world.shards.state, (std::map<std::string, std::string>{{"/b", "y"}}));
}

TEST(Writes, MadeBeforeThereIsAProxyWaitForIt) {
  World world;
  world.write(1, "/a", "x");
  world.start();
  EXPECT_TRUE(world.answers.at(1).ok());
}

TEST(Writes, UnansweredOnesAreSentAgainUnderTheirNumber) {
  World world;
  world.watch(1, "");  // its heartbeats show that the proxy lives
  world.start();
  world.write(1, "/a", "x");
  world.settle();
  world.write(2, "/b", "y");
  world.to_proxy.clear();
  world.run(900ms);
  EXPECT_THAT(world.answers, SizeIs(1));
  world.run(200ms);
  EXPECT_TRUE(world.answers.at(2).ok());
  EXPECT_THAT(numbers(world.linked().writes), ElementsAre(1, 2));
  EXPECT_THAT(world.connected, SizeIs(1));
}

TEST(Writes, AreAppliedOnceWhicheverProxiesTheyGoThrough) {
  World world;
  world.start();
  world.write(1, "/a", "x");
  world.deliver_request();
  ASSERT_EQ(world.shards.state.at("/a"), "x");
  model::Proxy& second = world.other();
  world.linked().alive = false;  // with the answer
  world.from_proxy.clear();
  world.run(4s);
  EXPECT_EQ(&world.linked(), &second);
  EXPECT_EQ(world.answers.at(1).revision, keyspace::Revision(1, 1));
  EXPECT_THAT(numbers(second.writes), ElementsAre(1));
  EXPECT_THAT(world.shards.history.at("/a"), ElementsAre("x"));
}

TEST(Writes, OfOneKeyGoOneAfterTheOther) {
  World world;
  world.start();
  world.write(1, "/a", "1");
  world.write(2, "/a", "2");
  world.session->write(3, {{.key = "/b", .value = "3"}, {.key = "/a", .value = "3"}}, world.now());
  world.write(4, "/b", "4");
  world.write(5, "/c", "5");
  while (world.deliver_request()) {
  }
  EXPECT_EQ(world.linked().writes.size(), 2u) << "those of /a and /c";
  EXPECT_EQ(world.linked().writes[1].writes[0].key, "/c");
  world.settle();
  EXPECT_THAT(world.answers, SizeIs(5));
  EXPECT_THAT(world.shards.history.at("/a"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(world.shards.history.at("/b"), ElementsAre("3", "4"));
}

TEST(Writes, ARefusedOneHoldsUpTheNextOfItsKey) {
  World world;
  world.start();
  world.linked().refuse = wire::Fault::partition_unavailable;
  world.write(1, "/a", "1");
  world.write(2, "/a", "2");
  world.settle();
  world.linked().refuse = wire::Fault::none;
  EXPECT_THAT(world.answers, IsEmpty());
  world.run(300ms);
  EXPECT_THAT(world.shards.history.at("/a"), ElementsAre("1", "2"));
}

TEST(Writes, FinalRefusalsAreTold) {
  World world;
  world.start();
  world.write(1, "/a", "x");
  world.settle();
  world.session->write(2, {{.key = "/a", .value = "y", .if_revision = keyspace::Revision(7)}},
                       world.now());
  world.settle();
  EXPECT_EQ(world.answers.at(2).number, number(wire::Fault::revision_mismatch));
  EXPECT_EQ(world.answers.at(2).revision, world.answers.at(1).revision);
  world.linked().refuse = wire::Fault::several_partitions;
  world.write(3, "/a", "z");
  world.settle();
  EXPECT_EQ(world.answers.at(3).number, number(wire::Fault::several_partitions));
}

TEST(Writes, RetriableRefusalsAreRetriedWithPatience) {
  World world;
  world.watch(1, "");
  world.start();
  world.linked().refuse = wire::Fault::busy;
  world.write(1, "/a", "x");
  world.run(5s);
  EXPECT_THAT(world.answers, IsEmpty());
  EXPECT_GE(world.linked().writes.size(), 6u);
  EXPECT_LE(world.linked().writes.size(), 25u);
  world.linked().refuse = wire::Fault::none;
  world.run(1100ms);
  EXPECT_TRUE(world.answers.at(1).ok());
}

TEST(Writes, TheDeadlineEndsThem) {
  World world;
  world.watch(1, "");
  world.start();
  world.linked().refuse = wire::Fault::busy;
  world.session->write(1, {{.key = "/a", .value = "x"}}, world.now(), 2s);
  world.session->write(2, {{.key = "/a", .value = "y"}}, world.now(), 1s);  // never sent
  world.session->list(3, "/a", world.now(), 2s);
  world.run(1900ms);
  EXPECT_THAT(world.answers, SizeIs(1));
  EXPECT_EQ(world.answers.at(2).number, timed_out);
  world.run(300ms);
  EXPECT_EQ(world.answers.at(1).number, timed_out);
  EXPECT_THAT(world.answers.at(1).text, testing::HasSubstr("no success in time: no"));
  EXPECT_EQ(world.answers.at(3).number, timed_out);
  // The next one of the key is not held up by those.
  world.linked().refuse = wire::Fault::none;
  world.write(4, "/a", "z");
  world.settle();
  EXPECT_TRUE(world.answers.at(4).ok());
}

TEST(Writes, SettledIsTheLowestUnansweredNumber) {
  World world;
  world.start();
  for (CallId id = 1; id <= 3; ++id) world.write(id, "/k" + std::to_string(id), "x");
  world.to_proxy.pop_front();  // 1 is lost
  world.settle();
  world.write(4, "/k4", "x");
  world.settle();
  EXPECT_EQ(world.linked().writes.back().settled, 1u);
  world.run(1100ms);
  EXPECT_TRUE(world.answers.at(1).ok());
  world.write(5, "/k5", "x");
  world.settle();
  EXPECT_EQ(world.linked().writes.back().settled, 5u);
}

TEST(Writes, AWindowOfNumbersIsUnanswered) {
  World world;
  world.start();
  const CallId count = Writes::max_unanswered + 10;
  for (CallId id = 1; id <= count; ++id) world.write(id, "/k" + std::to_string(id), "x");
  EXPECT_EQ(world.to_proxy.size(), Writes::max_unanswered);
  world.to_proxy.pop_front();  // 1 is lost, and holds the window
  world.settle();
  EXPECT_EQ(world.answers.size(), Writes::max_unanswered - 1);
  world.run(1100ms);
  EXPECT_EQ(world.answers.size(), count);
}

TEST(Writes, BeyondTheLimitIsBusy) {
  World world;  // not started: nobody answers
  for (CallId id = 1; id <= Session::max_calls; ++id) world.write(id, "/k", "x");
  EXPECT_THAT(world.answers, IsEmpty());
  world.write(0, "/k", "x");
  EXPECT_EQ(world.answers.at(0).number, number(wire::Fault::busy));
}

TEST(Writes, WhatNoProxyWouldTakeIsNotSent) {
  World world;
  world.start();
  world.write(1, "bad\nkey", "x");
  world.write(2, "/a", std::string(base::max_value_bytes + 1, 'x'));
  world.session->write(3, {}, world.now());
  world.session->write(4, {{.key = "/a", .ttl_ms = -1}}, world.now());
  world.session->write(
      5, {{.key = "/a", .properties = std::string(base::max_properties_bytes + 1, 'x')}},
      world.now());
  world.session->write(
      6,
      std::vector<wire::Write>(5, {.key = "/a", .value = std::string(base::max_value_bytes, 'x')}),
      world.now());
  EXPECT_THAT(world.to_proxy, IsEmpty());
  EXPECT_EQ(world.answers.at(1).number, number(wire::Fault::bad_key));
  EXPECT_EQ(world.answers.at(2).number, number(wire::Fault::too_large));
  EXPECT_EQ(world.answers.at(3).number, number(wire::Fault::bad_field));
  EXPECT_EQ(world.answers.at(4).number, number(wire::Fault::bad_field));
  EXPECT_EQ(world.answers.at(5).number, number(wire::Fault::too_large));
  EXPECT_EQ(world.answers.at(6).number, number(wire::Fault::too_large));
}

TEST(Reads, AreSortedAndWhole) {
  World world({.partitions = {"", "/m/"}});
  for (const char* key : {"/z", "/m/2", "/a", "/m/1", "/m/3"}) world.shards.put(key, "v");
  world.follow();
  world.start();
  world.session->list(1, "", world.now());
  world.session->list(2, "/m/2", world.now());
  world.session->list(3, "/none", world.now());
  world.settle();
  std::vector<std::string> keys;
  for (const auto& entry : world.answers.at(1).entries) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("/a", "/m/1", "/m/2", "/m/3", "/z"));
  ASSERT_THAT(world.answers.at(2).entries, SizeIs(1));
  EXPECT_EQ(world.answers.at(2).entries[0].value, "v");
  EXPECT_TRUE(world.answers.at(3).ok());
  EXPECT_THAT(world.answers.at(3).entries, IsEmpty());
}

TEST(Reads, AKeyThatEndsWithASlashIsReadAlone) {
  World world({.partitions = {"", "/m/deep/"}});
  for (const char* key : {"/m/1", "/m/2", "/m/3", "/m/deep/1", "/m/deep/2"}) {
    world.shards.put(key, "v");
  }
  world.follow();
  world.start();
  world.session->get(1, "/m/", world.now());
  world.settle();
  EXPECT_TRUE(world.answers.at(1).ok());
  EXPECT_THAT(world.answers.at(1).entries, IsEmpty());
  world.shards.put("/m/", "itself");
  world.follow();
  world.session->get(2, "/m/", world.now());
  world.settle();
  ASSERT_THAT(world.answers.at(2).entries, SizeIs(1));
  EXPECT_EQ(world.answers.at(2).entries[0].value, "itself");
  world.session->get(3, "/m/deep/", world.now());
  world.settle();
  EXPECT_THAT(world.answers.at(3).entries, IsEmpty());
}

TEST(Reads, ALimitEndsThemEarly) {
  World world({.partitions = {"", "/m/"}});
  for (const char* key : {"/m/1", "/m/2", "/m/3", "/m/4"}) world.shards.put(key, "v");
  world.follow();
  world.start();
  world.session->list(1, "", world.now(), 2s, 1);
  world.session->list(2, "/none/", world.now(), 2s, 1);
  world.settle();
  EXPECT_THAT(world.answers.at(1).entries, SizeIs(world.linked().chunk_entries));
  EXPECT_TRUE(world.answers.at(2).ok());
  EXPECT_THAT(world.answers.at(2).entries, IsEmpty());
}

TEST(Reads, BeginAnewElsewhere) {
  World world;
  for (const char* key : {"/a", "/b", "/c"}) world.shards.put(key, "v");
  world.follow();
  world.start();
  world.session->list(1, "", world.now());
  world.deliver_request();
  world.deliver_message();  // two of three
  world.linked().alive = false;
  world.from_proxy.clear();
  world.run(4s);
  EXPECT_THAT(world.answers.at(1).entries, SizeIs(3));
  EXPECT_THAT(world.connected, SizeIs(2));
}

TEST(Reads, AFinalRefusalIsTold) {
  World world;
  world.start();
  world.linked().refuse = wire::Fault::bad_subtree;
  world.session->list(1, "/a/", world.now());
  world.session->list(2, "bad\n", world.now());
  world.settle();
  EXPECT_EQ(world.answers.at(1).number, number(wire::Fault::bad_subtree));
  EXPECT_EQ(world.answers.at(2).number, number(wire::Fault::bad_subtree));
}

TEST(Reads, OnlySoManyAreAskedAtOnce) {
  World world;
  world.start();
  const std::size_t count = Reads::max_unanswered + 5;
  for (CallId id = 1; id <= count; ++id) world.session->list(id, "/k", world.now());
  EXPECT_EQ(world.to_proxy.size(), Reads::max_unanswered);
  world.settle();
  EXPECT_EQ(world.answers.size(), count);
}

}  // namespace
}  // namespace canopy::client
