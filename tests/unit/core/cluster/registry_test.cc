#include "core/cluster/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Messages as short lines, so that a scenario is easy to read.
std::string line(const Message& message) {
  struct Visitor {
    std::string operator()(const KeyChanged& m) const {
      return m.key + "=" + m.value.value_or("(gone)");
    }
    std::string operator()(const Watched& m) const { return "watched " + m.prefix; }
    std::string operator()(const Swapped& m) const { return m.swapped ? "swapped" : "refused"; }
    std::string operator()(const Failed& m) const { return std::string(to_text(m.fault)); }
    std::string operator()(const Renewed&) const { return "renewed"; }
  };
  return message.to + ": " + std::visit(Visitor{}, message.body);
}

std::vector<std::string> lines(const Effects& effects) {
  std::vector<std::string> result;
  for (const Message& message : effects.messages) result.push_back(line(message));
  return result;
}

std::vector<SessionEnded::Why> endings(const Effects& effects) {
  std::vector<SessionEnded::Why> result;
  for (const Change& change : effects.changes) {
    if (const auto* ended = std::get_if<SessionEnded>(&change)) result.push_back(ended->why);
  }
  return result;
}

class RegistryTest : public ::testing::Test {
 protected:
  // Session "A" belongs to process "a", and so on.
  void open(const SessionId& session) {
    std::string name = session;
    name[0] = static_cast<char>(name[0] - 'A' + 'a');
    EXPECT_THAT(lines(register_process(session, {.name = name})), IsEmpty());
  }
  Effects register_process(const SessionId& session, const Registration& registration) {
    return registry_.register_process(session, registration, now_);
  }
  // The broker sees the process of this session end.
  Effects kill(const SessionId& session) {
    std::string name = session;
    name[0] = static_cast<char>(name[0] - 'A' + 'a');
    (void)registry_.disconnected(session, now_);
    return registry_.process_ended(name);
  }
  Effects swap(const SessionId& session, std::uint64_t request, const std::string& key,
               const std::string& value, std::uint64_t expected) {
    Effects effects = registry_.compare_and_set(session, request, key, value, expected, now_);
    for (Message& message : registry_.commit().messages)
      effects.messages.push_back(std::move(message));
    return effects;
  }
  std::uint64_t version(const std::string& key) { return registry_.entries().at(key).version; }

  base::TimePoint now_{seconds(1000)};
  Registry registry_{seconds(3)};
};

TEST_F(RegistryTest, WatchTellsWhatIsThereAndThenEachChange) {
  open("A");
  open("B");
  (void)registry_.announce("A", "shards/a", "1", now_);
  (void)registry_.announce("A", "other", "x", now_);
  EXPECT_THAT(lines(registry_.watch("B", "shards/", now_)),
              ElementsAre("B: shards/a=1", "B: watched shards/"));
  EXPECT_THAT(lines(registry_.announce("A", "shards/a", "2", now_)), ElementsAre("B: shards/a=2"));
  EXPECT_THAT(lines(registry_.announce("A", "shards/a", "2", now_)), IsEmpty()) << "no change";
  EXPECT_THAT(lines(registry_.announce("A", "other", "y", now_)), IsEmpty());
  EXPECT_THAT(lines(registry_.resign("A", now_)), ElementsAre("B: shards/a=(gone)"));
  EXPECT_TRUE(registry_.knows("A"));
}

TEST_F(RegistryTest, OverlappingWatchesTellOnce) {
  open("A");
  (void)registry_.watch("A", "", now_);
  (void)registry_.watch("A", "shards/", now_);
  EXPECT_THAT(lines(registry_.announce("A", "shards/a", "1", now_)), ElementsAre("A: shards/a=1"));
}

TEST_F(RegistryTest, VersionsGrowWithEachChangeFromAGenerationOfTheRegistry) {
  Registry registry(seconds(3), DirectoryRecord({.reserved = 100}, {}));
  (void)registry.register_process("A", {.name = "a"}, now_);
  (void)registry.announce("A", "k", "1", now_);
  EXPECT_EQ(registry.entries().at("k").version, (std::uint64_t{101} << 40) + 1);
  (void)registry.resign("A", now_);
  (void)registry.announce("A", "k", "1", now_);
  EXPECT_EQ(registry.entries().at("k").version, (std::uint64_t{101} << 40) + 3);
}

TEST_F(RegistryTest, SilenceEndsASession) {
  open("A");
  open("B");
  (void)registry_.announce("A", "shards/a", "1", now_);
  (void)registry_.watch("B", "shards/", now_);
  now_ += milliseconds(2999);
  EXPECT_THAT(lines(registry_.expire(now_)), IsEmpty());
  EXPECT_THAT(lines(registry_.ping("B", now_)), IsEmpty());
  now_ += milliseconds(1);
  const Effects effects = registry_.expire(now_);
  EXPECT_THAT(lines(effects), ElementsAre("B: shards/a=(gone)"));
  EXPECT_THAT(endings(effects), ElementsAre(SessionEnded::Why::expired));
  EXPECT_THAT(lines(registry_.ping("A", now_)), ElementsAre("A: unknown session"));
  EXPECT_THAT(lines(registry_.announce("A", "shards/a", "1", now_)),
              ElementsAre("A: unknown session"));
}

TEST_F(RegistryTest, AnythingSaidKeepsTheLease) {
  open("A");
  for (int i = 0; i < 10; ++i) {
    now_ += seconds(2);
    (void)registry_.announce("A", "k", std::to_string(i), now_);
    EXPECT_THAT(lines(registry_.expire(now_)), IsEmpty());
  }
  EXPECT_TRUE(registry_.knows("A"));
}

TEST_F(RegistryTest, AServiceThatSleptBlamesNobody) {
  open("A");
  now_ += seconds(60);
  registry_.renew_leases(now_);
  EXPECT_THAT(endings(registry_.expire(now_)), IsEmpty());
  EXPECT_THAT(endings(registry_.expire(now_ + seconds(3))),
              ElementsAre(SessionEnded::Why::expired));
}

TEST_F(RegistryTest, WhoResignedLeavesQuietly) {
  open("A");
  (void)registry_.resign("A", now_);
  EXPECT_THAT(endings(registry_.expire(now_ + seconds(3))), ElementsAre(SessionEnded::Why::left));
}

TEST_F(RegistryTest, ANewerProcessSupersedesAtOnce) {
  (void)register_process("old", {.name = "a"});
  const std::uint32_t older = registry_.generation("old");
  open("W");
  (void)registry_.announce("old", "shards/a", "1", now_);
  (void)registry_.watch("W", "", now_);
  const Effects effects = register_process("new", {.name = "a"});
  EXPECT_THAT(lines(effects),
              ElementsAre("W: shards/a=(gone)", "old: superseded by a newer process of this name"));
  EXPECT_THAT(endings(effects), ElementsAre(SessionEnded::Why::superseded));
  EXPECT_GT(registry_.generation("new"), older);

  // The old process may still run: it does not get its name back while the newer one is there.
  EXPECT_THAT(lines(registry_.ping("old", now_)), ElementsAre("old: unknown session"));
  EXPECT_THAT(lines(register_process("old", {.name = "a", .generation = older})),
              ElementsAre("old: superseded by a newer process of this name"));
  (void)registry_.disconnected("new", now_);
  (void)registry_.process_ended("a");
  EXPECT_THAT(lines(register_process("old", {.name = "a", .generation = older})), IsEmpty());
  EXPECT_EQ(registry_.generation("old"), older);
}

TEST_F(RegistryTest, HelloOfAnOpenSessionOnlyForgetsItsWatches) {
  open("A");
  open("B");
  (void)registry_.watch("A", "", now_);
  (void)registry_.announce("A", "k", "1", now_);
  open("A");
  EXPECT_THAT(lines(registry_.announce("B", "l", "1", now_)), IsEmpty());
  EXPECT_TRUE(registry_.entries().contains("k"));
}

TEST_F(RegistryTest, CompareAndSet) {
  open("A");
  open("B");
  (void)registry_.watch("B", "", now_);
  EXPECT_THAT(lines(swap("A", 1, "k", "1", 7)), ElementsAre("A: refused"));
  EXPECT_THAT(lines(swap("A", 2, "k", "1", 0)), ElementsAre("B: k=1", "A: swapped"));
  EXPECT_THAT(lines(swap("A", 2, "k", "1", 0)), ElementsAre("A: swapped"))
      << "repeated, as after a lost answer";
  const std::uint64_t first = version("k");
  EXPECT_THAT(lines(swap("B", 1, "k", "2", 0)), ElementsAre("B: refused"));
  EXPECT_THAT(lines(swap("B", 2, "k", "2", first)), ElementsAre("B: k=2", "B: swapped"));
  EXPECT_THAT(lines(swap("A", 3, "k", "3", first)), ElementsAre("A: refused"));
  (void)kill("B");
  EXPECT_EQ(registry_.entries().at("k").value, "2") << "no lease holds it";
}

TEST_F(RegistryTest, KeysAreOfOneKindAndOfOneHolder) {
  open("A");
  open("B");
  (void)registry_.announce("A", "leased", "1", now_);
  (void)swap("A", 1, "agreed", "1", 0);
  EXPECT_THAT(lines(registry_.announce("B", "leased", "2", now_)),
              ElementsAre("B: key is held by another"));
  EXPECT_THAT(lines(registry_.announce("B", "agreed", "2", now_)),
              ElementsAre("B: key is held by another"));
  EXPECT_THAT(lines(swap("B", 1, "leased", "2", 0)),
              ElementsAre("B: key is held by another", "B: refused"));
}

TEST_F(RegistryTest, GenerationsEnd) {
  constexpr std::uint32_t last = DirectoryRecord::max_generation;
  open("A");
  EXPECT_THAT(lines(register_process("B", {.name = "b", .known = last + 1})),
              ElementsAre("B: epoch out of range"));
  registry_ = Registry(seconds(3), DirectoryRecord({.reserved = last - 3}, {}));  // 1 for versions
  open("A");
  open("B");
  EXPECT_THAT(lines(register_process("C", {.name = "c"})),
              ElementsAre("C: no generation can be granted"));
  EXPECT_THAT(lines(register_process("C", {.name = "c", .generation = 5})), IsEmpty())
      << "it has one";
}

TEST_F(RegistryTest, AProcessKeepsTheGenerationThatItHas) {
  open("A");
  const std::uint32_t first = registry_.generation("A");
  EXPECT_GT(first, 0U);
  open("A");
  EXPECT_EQ(registry_.generation("A"), first) << "an open session";
  open("B");
  EXPECT_GT(registry_.generation("B"), first);
  (void)kill("A");
  EXPECT_THAT(lines(register_process("A", {.name = "a", .generation = first, .known = first})),
              IsEmpty());
  EXPECT_EQ(registry_.generation("A"), first);
}

TEST_F(RegistryTest, WhatWasGrantedWithoutTheRecordIsGrantedAnew) {
  open("A");
  open("B");
  (void)registry_.announce("A", "k", "1", now_);
  (void)registry_.watch("B", "", now_);
  const std::uint64_t before = version("k");
  const std::uint32_t granted = registry_.generation("B");
  EXPECT_THAT(lines(register_process(
                  "C", {.name = "c", .generation = 400, .known = 500, .record = "lost"})),
              ElementsAre("B: k=1", "A: renewed", "B: renewed"));
  EXPECT_EQ(registry_.generation("C"), 400U) << "from before";
  EXPECT_GT(registry_.generation("A"), 500U);
  EXPECT_GT(registry_.generation("B"), 500U);
  EXPECT_GT(version("k"), std::uint64_t{500} << 40) << "not one that C may have seen before";
  EXPECT_GT(version("k"), before);
  EXPECT_THAT(lines(register_process("D", {.name = "d", .generation = granted, .known = 500})),
              IsEmpty())
      << "nothing new";
}

TEST_F(RegistryTest, NumbersOfALostRecordAreToldByTheRecordNotByTheirSize) {
  registry_ = Registry(seconds(3), DirectoryRecord({.identity = "new"}, {}));
  open("A");
  open("B");
  const std::uint32_t of_a = registry_.generation("A");
  const std::uint32_t of_b = registry_.generation("B");
  EXPECT_THAT(lines(register_process(
                  "C", {.name = "c", .generation = of_a, .known = of_a, .record = "lost"})),
              ElementsAre("A: renewed"));
  EXPECT_EQ(registry_.generation("B"), of_b) << "granted above what C knows of";
  EXPECT_GT(registry_.generation("A"), of_b);
  const std::uint32_t now = registry_.generation("A");
  EXPECT_THAT(
      lines(register_process("D", {.name = "d", .generation = 1, .known = now, .record = "new"})),
      IsEmpty());
}

TEST_F(RegistryTest, ANameHeldExclusivelyIsRefusedToAnother) {
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})), IsEmpty());
  EXPECT_THAT(lines(register_process("B", {.name = "s1", .identity = "y"})),
              ElementsAre("B: another process of this name is running"));
  EXPECT_THAT(lines(register_process("C", {.name = "s1"})),
              ElementsAre("C: another process of this name is running"));
  EXPECT_TRUE(registry_.knows("A"));

  now_ += seconds(3);
  (void)registry_.expire(now_);
  EXPECT_THAT(lines(register_process("B", {.name = "s1", .identity = "y"})), IsEmpty())
      << "its lease ended";
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})),
              ElementsAre("A: another process of this name is running"));
  (void)registry_.resign("B", now_);
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})),
              ElementsAre("B: superseded by a newer process of this name"))
      << "it resigned";
}

TEST_F(RegistryTest, ARestartOfTheHolderTakesOverAtOnce) {
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})), IsEmpty());
  EXPECT_THAT(lines(register_process("B", {.name = "s1", .identity = "x"})),
              ElementsAre("A: superseded by a newer process of this name"));
  EXPECT_TRUE(registry_.knows("B"));
}

TEST_F(RegistryTest, AfterARestartTheHolderHasALeaseToComeBack) {
  DirectoryRecord::Kept kept;
  const auto restart = [&] {
    registry_ = Registry(seconds(3),
                         DirectoryRecord(kept,
                                         [&](const DirectoryRecord::Kept& changed) {
                                           kept = changed;
                                           return base::Status();
                                         }),
                         now_);
  };
  restart();
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})), IsEmpty());
  restart();
  EXPECT_THAT(lines(register_process("B", {.name = "s1", .identity = "y"})),
              ElementsAre("B: another process of this name is running"));
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})), IsEmpty());
  restart();
  now_ += seconds(3);
  EXPECT_THAT(lines(register_process("B", {.name = "s1", .identity = "y"})), IsEmpty());
}

TEST_F(RegistryTest, NothingIsGrantedThatCannotBeKept) {
  bool full = false;
  registry_ = Registry(seconds(3), DirectoryRecord({}, [&](const auto&) {
                         return full ? base::Status(base::Error{"disk full"}) : base::Status();
                       }));
  full = true;
  EXPECT_THAT(lines(register_process("A", {.name = "s1", .identity = "x"})),
              ElementsAre("A: no generation can be granted"));
  EXPECT_EQ(registry_.failure(), "disk full");
  for (int i = 0; i < 20; ++i) (void)register_process("P", {.name = "p" + std::to_string(i)});
  EXPECT_FALSE(registry_.knows("P")) << "the block that was kept is used up";
  full = false;
  EXPECT_THAT(lines(register_process("P", {.name = "p"})), IsEmpty());
  EXPECT_EQ(registry_.failure(), "");
}

TEST_F(RegistryTest, BadWordsAreRefused) {
  open("A");
  const std::string too_long(max_directory_key_bytes + 1, 'k');
  EXPECT_THAT(lines(registry_.register_process("B", {.name = ""}, now_)),
              ElementsAre("B: not a process name"));
  EXPECT_THAT(lines(registry_.register_process("B", {.name = "a\nb"}, now_)),
              ElementsAre("B: not a process name"));
  EXPECT_THAT(lines(registry_.register_process("B", {.name = std::string(65, 'n')}, now_)),
              ElementsAre("B: not a process name"));
  EXPECT_THAT(lines(registry_.announce("A", "", "1", now_)), ElementsAre("A: not a directory key"));
  EXPECT_THAT(lines(registry_.announce("A", too_long, "1", now_)),
              ElementsAre("A: not a directory key"));
  EXPECT_THAT(lines(registry_.watch("A", too_long, now_)), ElementsAre("A: not a directory key"));
  const std::string big(max_directory_value_bytes + 1, 'v');
  EXPECT_THAT(lines(registry_.announce("A", "k", big, now_)), ElementsAre("A: value too long"));
  EXPECT_THAT(registry_.entries(), IsEmpty());
}

TEST_F(RegistryTest, SessionsAreBounded) {
  for (std::size_t i = 0; i < max_sessions; ++i) {
    const std::string number = std::to_string(i);
    EXPECT_THAT(lines(registry_.register_process("S" + number, {.name = "n" + number}, now_)),
                IsEmpty());
  }
  EXPECT_THAT(lines(registry_.register_process("T", {.name = "t"}, now_)),
              ElementsAre("T: too many sessions"));
  EXPECT_EQ(registry_.session_count(), max_sessions);
  (void)registry_.register_process("T", {.name = "n0"}, now_);
  EXPECT_TRUE(registry_.knows("T")) << "a successor needs no room";
}

TEST_F(RegistryTest, KeysAndWatchesAreBounded) {
  open("A");
  for (std::size_t i = 0; i < max_directory_keys; ++i) {
    (void)registry_.announce("A", std::to_string(i), "1", now_);
  }
  EXPECT_THAT(lines(registry_.announce("A", "one more", "1", now_)),
              ElementsAre("A: too many directory keys"));
  EXPECT_THAT(lines(registry_.announce("A", "0", "2", now_)), IsEmpty())
      << "a known key may change";

  for (std::size_t i = 0; i < max_watches_per_session; ++i) {
    (void)registry_.watch("A", "w" + std::to_string(i), now_);
  }
  EXPECT_THAT(lines(registry_.watch("A", "one more", now_)), ElementsAre("A: too many watches"));
  EXPECT_THAT(lines(registry_.watch("A", "w0", now_)), ElementsAre("A: watched w0"));
}

TEST_F(RegistryTest, ValuesAreBoundedTogether) {
  open("A");
  const std::string value(max_directory_value_bytes, 'v');
  for (std::size_t i = 0; i < max_directory_bytes / max_directory_value_bytes; ++i) {
    EXPECT_THAT(lines(registry_.announce("A", std::to_string(i), value, now_)), IsEmpty());
  }
  EXPECT_THAT(lines(registry_.announce("A", "one more", "1", now_)),
              ElementsAre("A: too many directory keys"));
  EXPECT_THAT(lines(registry_.announce("A", "0", "less", now_)), IsEmpty());
  EXPECT_THAT(lines(registry_.announce("A", "one more", "1", now_)), IsEmpty());
}

}  // namespace
}  // namespace canopy::cluster
