// Keys without a lease: staged, stored, reported, and recovered by a restarted registry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/cluster/registry.h"

namespace canopy::cluster {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto lease = seconds(3);

// The messages about swaps, changes and failures, as text.
std::vector<std::string> lines(const Effects& effects) {
  std::vector<std::string> result;
  for (const Message& message : effects.messages) {
    if (const auto* change = std::get_if<KeyChanged>(&message.body)) {
      result.push_back(message.to + ": " + change->key + "=" + change->value.value_or("(gone)"));
    } else if (const auto* swapped = std::get_if<Swapped>(&message.body)) {
      result.push_back(message.to + (swapped->swapped ? ": swapped " : ": refused ") +
                       std::to_string(swapped->request));
    } else if (const auto* failed = std::get_if<Failed>(&message.body)) {
      result.push_back(message.to + ": " + std::string(to_text(failed->fault)));
    }
  }
  return result;
}

class RegistryRecordsTest : public ::testing::Test {
 protected:
  RegistryRecordsTest() { open(); }

  void open() {
    for (const char* session : {"A", "B"}) {
      (void)registry_.register_process(session, {.name = session}, now_);
    }
    (void)registry_.watch("B", "", now_);
  }
  void restart() { registry_ = Registry(lease, record(), now_); }
  DirectoryRecord record() {
    return DirectoryRecord(
        kept_,
        [this](const DirectoryRecord::Kept& kept) {
          kept_ = kept;
          return base::Status();
        },
        entries_,
        [this](const DirectoryRecord::Entries& changed) {
          if (is_full_) return base::Status(base::Error{"no space"});
          for (const auto& [key, entry] : changed) entries_[key] = entry;
          return base::Status();
        });
  }
  Effects swap(const SessionId& session, std::uint64_t request, const std::string& value,
               std::uint64_t expected) {
    return registry_.compare_and_set(session, request, "k", value, expected, now_);
  }
  std::uint64_t version() { return registry_.entries().at("k").version; }

  base::TimePoint now_{seconds(1000)};
  DirectoryRecord::Kept kept_{.identity = "r"};
  DirectoryRecord::Entries entries_;
  bool is_full_ = false;
  Registry registry_{lease, record(), now_};
};

TEST_F(RegistryRecordsTest, ANoticeIsToldToWatchersAndFoundByNobody) {
  const Effects first = registry_.notify("elections/a", "s1");
  EXPECT_THAT(lines(first), ElementsAre("B: elections/a=s1"));
  const Effects second = registry_.notify("elections/a", "s1");
  const auto version = [](const Effects& effects) {
    return std::get<KeyChanged>(effects.messages.at(0).body).version;
  };
  EXPECT_GT(version(second), version(first)) << "so that it is news again";
  EXPECT_THAT(registry_.entries(), IsEmpty());
  EXPECT_FALSE(registry_.has_staged());
  EXPECT_THAT(lines(registry_.watch("A", "elections/", now_)), IsEmpty());
}

TEST_F(RegistryRecordsTest, NobodyIsToldBeforeACommit) {
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), IsEmpty());
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), IsEmpty()) << "repeated meanwhile";
  EXPECT_THAT(lines(swap("B", 1, "2", 0)), ElementsAre("B: refused 1"));
  EXPECT_THAT(lines(registry_.announce("B", "k", "3", now_)),
              ElementsAre("B: key is held by another"));
  EXPECT_THAT(registry_.entries(), IsEmpty());
  EXPECT_THAT(entries_, IsEmpty());
  EXPECT_TRUE(registry_.has_staged());
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("B: k=1", "A: swapped 1"));
  EXPECT_EQ(entries_.at("k").version, version());
  EXPECT_FALSE(registry_.has_staged());
  EXPECT_THAT(lines(registry_.commit()), IsEmpty());
}

TEST_F(RegistryRecordsTest, WhatCannotBeKeptStaysOpen) {
  is_full_ = true;
  (void)swap("A", 1, "1", 0);
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("A: the change cannot be kept"));
  EXPECT_THAT(registry_.entries(), IsEmpty());
  EXPECT_EQ(registry_.failure(), "no space");
  is_full_ = false;
  (void)swap("A", 1, "1", 0);
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("B: k=1", "A: swapped 1"));
  EXPECT_EQ(registry_.failure(), "");
}

TEST_F(RegistryRecordsTest, ASessionThatEndsTakesWhatItStagedWithIt) {
  (void)swap("A", 1, "1", 0);
  now_ += lease;
  (void)registry_.ping("B", now_);
  (void)registry_.expire(now_);
  EXPECT_THAT(lines(registry_.commit()), IsEmpty());
  EXPECT_THAT(registry_.entries(), IsEmpty());
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), ElementsAre("A: unknown session"));
}

TEST_F(RegistryRecordsTest, ARestartFindsEntriesAndTheRequestsThatSetThem) {
  (void)swap("A", 1, "1", 0);
  (void)registry_.commit();
  const std::uint64_t first = version();
  restart();
  open();
  EXPECT_EQ(version(), first);
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), ElementsAre("A: swapped 1")) << "its answer was lost";
  EXPECT_THAT(lines(swap("B", 1, "2", 0)), ElementsAre("B: refused 1"));
  (void)swap("B", 2, "2", first);
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("B: k=2", "B: swapped 2"));
  EXPECT_GT(version(), first);
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), ElementsAre("A: refused 1")) << "replaced since";
}

TEST_F(RegistryRecordsTest, VersionsGrowAlsoWhenTheGenerationsAreLost) {
  for (int i = 0; i < 5; ++i) restart();
  open();
  (void)swap("A", 1, "1", 0);
  (void)registry_.commit();
  const std::uint64_t first = version();
  kept_ = {.identity = "r2"};
  restart();
  open();
  (void)swap("A", 2, "2", first);
  (void)registry_.commit();
  EXPECT_GT(version() >> DirectoryRecord::counter_bits, first >> DirectoryRecord::counter_bits);
}

TEST_F(RegistryRecordsTest, EntriesGetNewVersionsWhenAMemberKnowsOfHigherOnes) {
  (void)swap("A", 1, "1", 0);
  (void)registry_.commit();
  (void)registry_.register_process("C", {.name = "c", .known = 5000, .record = "lost"}, now_);
  EXPECT_TRUE(registry_.has_staged());
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("B: k=1")) << "and no session gets a reply";
  EXPECT_GT(version() >> DirectoryRecord::counter_bits, 5000U);
  EXPECT_EQ(entries_.at("k").version, version());
  EXPECT_THAT(lines(swap("A", 1, "1", 0)), ElementsAre("A: swapped 1"));
}

TEST_F(RegistryRecordsTest, KeysMayBeLongerThanThoseOfClients) {
  const std::string longest = "partitions/" + std::string(base::max_key_bytes, 's');
  (void)registry_.compare_and_set("A", 1, longest, "1", 0, now_);
  EXPECT_EQ(lines(registry_.commit()).back(), "A: swapped 1");
  EXPECT_THAT(lines(registry_.announce("A", "a\n", "1", now_)),
              ElementsAre("A: not a directory key"));
}

TEST_F(RegistryRecordsTest, WhatTheServiceSetsChangesTheVersion) {
  (void)registry_.compare_and_set("A", 1, "r", "1", 0, now_);
  (void)registry_.commit();
  const std::uint64_t version = registry_.entries().at("r").version;
  registry_.stage("r", "2");
  EXPECT_TRUE(registry_.has_staged());
  EXPECT_THAT(lines(registry_.commit()), ElementsAre("B: r=2"));
  EXPECT_EQ(entries_.at("r").value, "2");
  EXPECT_THAT(lines(registry_.compare_and_set("A", 2, "r", "3", version, now_)),
              ElementsAre("A: refused 2"));
  EXPECT_THAT(lines(registry_.compare_and_set("A", 1, "r", "1", 0, now_)),
              ElementsAre("A: refused 1"))
      << "another change has replaced it";
}

// Processes that set keys over restarts, lost records and failing disks. A key and a version have
// one value, whenever and to whichever process it is reported.
class RecordsHistory : public RegistryRecordsTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  struct Process {
    std::uint32_t known = 0;
    std::string record{};
    std::uint64_t last_request = 0;
    std::map<std::string, std::pair<std::string, std::uint64_t>> present{};
    std::map<std::pair<std::string, std::uint64_t>, std::string> values{};
    // The request that waits for its reply.
    struct Waiting {
      std::uint64_t request = 0;
      std::string key{}, value{};
      std::uint64_t expected = 0;
    };
    std::optional<Waiting> waiting{};
  };

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

  void join(const SessionId& session) {
    Process& process = processes_[session];
    hear(registry_.register_process(
        session, {.name = session, .known = process.known, .record = process.record}, now_));
    process.record = registry_.record();
    process.known = std::max(process.known, registry_.generation(session));
    process.present.clear();
    hear(registry_.watch(session, "", now_));
    if (process.waiting) ask(session, *process.waiting);
  }

  void ask(const SessionId& session, const Process::Waiting& asked) {
    hear(registry_.compare_and_set(session, asked.request, asked.key, asked.value, asked.expected,
                                   now_));
  }

  void hear(const Effects& effects) {
    for (const Message& message : effects.messages) {
      Process& process = processes_[message.to];
      if (const auto* change = std::get_if<KeyChanged>(&message.body)) {
        const auto [value, is_new] =
            process.values.try_emplace({change->key, change->version}, *change->value);
        EXPECT_EQ(value->second, *change->value) << change->key << " " << change->version;
        process.present[change->key] = {*change->value, change->version};
        process.known =
            std::max(process.known,
                     static_cast<std::uint32_t>(change->version >> DirectoryRecord::counter_bits));
        EXPECT_EQ(entries_.at(change->key).value, *change->value) << "reported before it was kept";
      } else if (const auto* swapped = std::get_if<Swapped>(&message.body)) {
        if (pick(4) == 0) continue;  // lost; it will ask again
        ASSERT_TRUE(process.waiting);
        EXPECT_EQ(process.waiting->request, swapped->request);
        if (swapped->swapped) {
          EXPECT_EQ(entries_.at(process.waiting->key).value, process.waiting->value);
          ++swapped_;
        }
        process.waiting.reset();
      }
    }
  }

  std::mt19937 random_{GetParam()};
  std::map<SessionId, Process> processes_;
  int swapped_ = 0;
};

TEST_P(RecordsHistory, AVersionIsOfOneContent) {
  const std::vector<SessionId> sessions = {"A", "B", "C"};
  int written = 0;
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    const SessionId session = sessions[static_cast<std::size_t>(pick(3))];
    Process& process = processes_[session];
    if (pick(100) == 0) {
      if (pick(3) == 0) kept_ = {.identity = kept_.identity + "'"};
      if (pick(3) == 0) entries_.clear();
      restart();
    } else if (pick(20) == 0) {
      is_full_ = !is_full_;
    } else if (!registry_.knows(session)) {
      join(session);
    } else if (pick(3) == 0) {
      hear(registry_.commit());
    } else if (pick(10) == 0) {
      join(session);
    } else if (!process.waiting) {
      const std::string key = "k" + std::to_string(pick(3));
      const std::uint64_t expected =
          process.present.contains(key) ? process.present[key].second : 0;
      process.waiting = {++process.last_request, key, std::to_string(++written), expected};
      ask(session, *process.waiting);
    }
  }
  EXPECT_GT(swapped_, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RecordsHistory, ::testing::Range(0U, 20U));

TEST_F(RegistryRecordsTest, WhatAnotherDirectorySaysIsToldAndNotKept) {
  EXPECT_THAT(lines(registry_.mirror("shards/s1", "1")), ElementsAre("B: shards/s1=1"));
  EXPECT_EQ(registry_.entries().at("shards/s1").value, "1");
  (void)registry_.expire(now_ + 10 * lease);
  EXPECT_TRUE(registry_.entries().contains("shards/s1")) << "no session holds it";
  open();
  EXPECT_THAT(lines(registry_.mirror("shards/s1", std::nullopt)),
              ElementsAre("B: shards/s1=(gone)"));
  EXPECT_THAT(lines(registry_.mirror("shards/s1", std::nullopt)), IsEmpty());
  EXPECT_THAT(entries_, IsEmpty());
}

}  // namespace
}  // namespace canopy::cluster
