#include "client/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using Words = std::vector<std::string>;

Command command(const Words& words, const Environment& environment = {}) {
  const auto line = parse_command_line(words, environment);
  if (const auto* outcome = std::get_if<Outcome>(&line)) ADD_FAILURE() << outcome->text;
  return std::holds_alternative<Command>(line) ? std::get<Command>(line) : Command{};
}

Outcome outcome(const Words& words, const Environment& environment = {}) {
  const auto line = parse_command_line(words, environment);
  EXPECT_TRUE(std::holds_alternative<Outcome>(line)) << "it is a command";
  return std::holds_alternative<Outcome>(line) ? std::get<Outcome>(line) : Outcome{};
}

TEST(CommandLine, DefaultsStand) {
  const Command get = command({"get", "/a"});
  EXPECT_EQ(get.action, Action::get);
  EXPECT_EQ(get.subject, "/a");
  EXPECT_EQ(get.timeout, 5s);
  EXPECT_THAT(get.cluster.brokers, ElementsAre("tcp://127.0.0.1:5550"));
  EXPECT_FALSE(get.json);
}

TEST(CommandLine, EveryCommandIsTaken) {
  const Command put = command({"put", "/a", "v", "--ttl", "5s", "--if-revision", "42"});
  EXPECT_EQ(put.action, Action::put);
  EXPECT_EQ(put.value, "v");
  EXPECT_FALSE(put.value_from_stdin);
  EXPECT_EQ(put.ttl, 5s);
  EXPECT_EQ(put.if_revision, keyspace::Revision(42));
  const Command erase = command({"delete", "/a", "--if-revision=7"});
  EXPECT_EQ(erase.action, Action::erase);
  EXPECT_EQ(erase.if_revision, keyspace::Revision(7));
  EXPECT_EQ(command({"list", "/a/"}).subject, "/a/");
  const Command watch = command({"watch", "*", "--latest", "100ms", "--json"});
  EXPECT_EQ(watch.action, Action::watch);
  EXPECT_EQ(watch.subject, "") << "the root";
  EXPECT_EQ(watch.latest, 100ms);
  EXPECT_TRUE(watch.json);
  EXPECT_EQ(command({"status", "--json"}).action, Action::status);
  EXPECT_EQ(command({"drain", "p1"}).subject, "p1");
  const Command all = command({"clients"});
  EXPECT_EQ(all.action, Action::clients);
  EXPECT_EQ(all.subject, "") << "of all proxies";
  EXPECT_EQ(all.order, ClientOrder::queue);
  const Command some = command({"clients", "--proxy", "p1", "--sort", "missed", "--json"});
  EXPECT_EQ(some.subject, "p1");
  EXPECT_EQ(some.order, ClientOrder::missed);
  EXPECT_TRUE(some.json);
  const Command kick = command({"kick", "p1", "17"});
  EXPECT_EQ(kick.action, Action::kick);
  EXPECT_EQ(kick.subject, "p1");
  EXPECT_EQ(kick.connection, 17u);
}

TEST(CommandLine, ReadsHaveFormats) {
  EXPECT_TRUE(command({"get", "/a", "-v"}).verbose);
  EXPECT_TRUE(command({"get", "/a", "--json"}).json);
  const Command list = command({"list", "/a/", "--keys", "--limit", "7"});
  EXPECT_TRUE(list.keys_only);
  EXPECT_EQ(list.limit, 7u);
  const Command exported = command({"export", "*"});
  EXPECT_EQ(exported.action, Action::list);
  EXPECT_TRUE(exported.json);
  EXPECT_EQ(exported.subject, "");
}

TEST(CommandLine, ASubtreeIsDeletedOnlyWithTheOption) {
  EXPECT_FALSE(command({"delete", "/a/"}).subtree);
  const Command below = command({"delete", "--subtree", "/a/"});
  EXPECT_TRUE(below.subtree);
  EXPECT_EQ(below.subject, "/a/");
  EXPECT_EQ(command({"delete", "*", "--subtree"}).subject, "");
  EXPECT_EQ(command({"delete", "*"}).subject, "*");
}

TEST(CommandLine, PingHasDefaults) {
  const Command ping = command({"ping"});
  EXPECT_EQ(ping.count, 0u) << "until a signal";
  EXPECT_EQ(ping.interval, 1s);
  EXPECT_EQ(ping.write_key, "");
  const Command some =
      command({"ping", "--count", "3", "--interval", "10ms", "--write", "/p", "--proxy", "p1"});
  EXPECT_EQ(some.count, 3u);
  EXPECT_EQ(some.interval, 10ms);
  EXPECT_EQ(some.write_key, "/p");
  EXPECT_EQ(some.subject, "p1");
}

TEST(CommandLine, AStarIsTheRootOnlyWhereASubtreeIsMeant) {
  EXPECT_EQ(command({"list", "*"}).subject, "");
  EXPECT_EQ(command({"get", "*"}).subject, "*");
}

TEST(CommandLine, OptionsMayStandAnywhere) {
  const Command put = command({"--broker", "tcp://h:1", "put", "--ttl=2m", "/a", "v"});
  EXPECT_THAT(put.cluster.brokers, ElementsAre("tcp://h:1"));
  EXPECT_EQ(put.ttl, 2min);
  EXPECT_EQ(put.value, "v");
}

TEST(CommandLine, ValuesMayBeAnything) {
  EXPECT_TRUE(command({"put", "/a", "-"}).value_from_stdin);
  EXPECT_EQ(command({"put", "--", "/a", "-5"}).value, "-5");
  EXPECT_EQ(command({"put", "/a", ""}).value, "");
  EXPECT_EQ(command({"put", "/a", "a b\n\xff"}).value, "a b\n\xff");
}

TEST(CommandLine, TheFlagGoesBeforeTheVariable) {
  EXPECT_THAT(command({"status"}, {.broker = "tcp://h:1,tcp://h:2"}).cluster.brokers,
              ElementsAre("tcp://h:1", "tcp://h:2"));
  EXPECT_THAT(command({"status", "--broker", "tcp://h:3"}, {.broker = "tcp://h:1"}).cluster.brokers,
              ElementsAre("tcp://h:3"));
}

TEST(CommandLine, KeysComeInPairs) {
  EXPECT_EQ(command({"get", "/a"}).own_key, "");
  const Command flags = command({"get", "/a", "--key", "a.key_secret", "--server-key", "c.key"},
                                {.key = "b", .server_key = "d"});
  EXPECT_EQ(flags.own_key, "a.key_secret");
  EXPECT_EQ(flags.server_key, "c.key");
  const Command mixed = command({"drain", "p1", "--key", "a"}, {.key = "b", .server_key = "d"});
  EXPECT_EQ(mixed.own_key, "a");
  EXPECT_EQ(mixed.server_key, "d");
}

TEST(CommandLine, KeygenAsksNoCluster) {
  const Command here = command({"keygen", "alice"}, {.broker = "nowhere", .key = "b"});
  EXPECT_EQ(here.action, Action::keygen);
  EXPECT_EQ(here.subject, "alice");
  EXPECT_EQ(here.directory, ".");
  EXPECT_EQ(command({"keygen", "a-B_9.x", "--directory", "keys"}).directory, "keys");
  EXPECT_THAT(outcome({"keygen", "-h"}).text, testing::Not(HasSubstr("--broker")));
}

TEST(CommandLine, ElectSaysWhatMayBeLostUnlessThatIsAccepted) {
  const Command root = command({"elect", "*", "s1", "--accept-loss"});
  EXPECT_EQ(root.subject, "");
  EXPECT_EQ(root.shards, std::vector<std::string>{"s1"});
  EXPECT_EQ(command({"elect", "--accept-loss", "/a/", "s1"}).subject, "/a/");
  const Outcome refusal = outcome({"elect", "/a/", "s1"});
  EXPECT_EQ(refusal.exit, Exit::wrong_usage);
  EXPECT_THAT(refusal.text, HasSubstr("/a/ would go on with the data of s1"));
  EXPECT_THAT(refusal.text, HasSubstr("--accept-loss"));
  EXPECT_EQ(std::count(refusal.text.begin(), refusal.text.end(), '\n'), 2) << refusal.text;
}

TEST(CommandLine, ABackupHasAName) {
  const Command backup = command({"backup", "s1", "monday"});
  EXPECT_EQ(backup.shards, std::vector<std::string>{"s1"});
  EXPECT_EQ(backup.name, "monday");
}

TEST(CommandLine, MoveNamesThePartitionAndItsShards) {
  const Command root = command({"move", "*", "s2,s1"});
  EXPECT_EQ(root.action, Action::move);
  EXPECT_EQ(root.subject, "");
  EXPECT_EQ(root.shards, (std::vector<std::string>{"s2", "s1"}));
  EXPECT_EQ(command({"move", "/a/", "s1"}).shards, std::vector<std::string>{"s1"});
  EXPECT_EQ(outcome({"move", "/a", "s1"}).exit, Exit::wrong_usage);
  EXPECT_EQ(outcome({"move", "/a/"}).exit, Exit::wrong_usage);
}

TEST(CommandLine, HelpIsAskedForOfAllOrOfOne) {
  const Outcome all = outcome({"--help"});
  EXPECT_EQ(all.exit, Exit::ok);
  for (const char* name :
       {"put", "get", "delete", "list", "watch", "status", "clients", "kick", "drain", "elect",
        "backup", "move", "keygen", "export", "import", "apply", "ping", "completion"}) {
    EXPECT_THAT(all.text, HasSubstr(std::string("\n  ") + name + " "));
    const Outcome one = outcome({name, "--help"});
    EXPECT_EQ(one.exit, Exit::ok);
    EXPECT_THAT(one.text, StartsWith(std::string("canopy ") + name + " "));
  }
  EXPECT_THAT(outcome({"put", "-h"}).text, HasSubstr("--if-revision N"));
  EXPECT_THAT(outcome({"get", "-h"}).text, testing::Not(HasSubstr("--if-revision")));
  EXPECT_EQ(outcome({"--version"}).text, "canopy " CANOPY_VERSION "\n");
}

struct Mistake {
  Words words;
  const char* named;  // what the one line must mention
  Environment environment{};
};

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreRefusedInOneLineThatNamesThem) {
  const Outcome refusal = outcome(GetParam().words, GetParam().environment);
  EXPECT_EQ(refusal.exit, Exit::wrong_usage);
  EXPECT_THAT(refusal.text, StartsWith("canopy: "));
  EXPECT_THAT(refusal.text, HasSubstr(GetParam().named));
  EXPECT_THAT(refusal.text, EndsWith("--help)\n"));
  EXPECT_EQ(std::count(refusal.text.begin(), refusal.text.end(), '\n'), 1) << refusal.text;
}

INSTANTIATE_TEST_SUITE_P(
    All, Mistakes,
    testing::Values(
        Mistake{{}, "COMMAND is missing"}, Mistake{{"putt", "/a", "b"}, "'putt'"},
        Mistake{{"put"}, "KEY is missing"}, Mistake{{"put", "/a"}, "VALUE is missing"},
        Mistake{{"put", "/a", "b", "c"}, "'c'"}, Mistake{{"status", "x"}, "'x'"},
        Mistake{{"get", ""}, "empty"}, Mistake{{"get", std::string(256, 'k')}, "255"},
        Mistake{{"get", "/a\nb"}, "/a\\nb"}, Mistake{{"get", "HUGZ"}, "reserved"},
        Mistake{{"list", "/a\tb/"}, "control"}, Mistake{{"get", "/a", "--ttl", "5s"}, "--ttl"},
        Mistake{{"put", "/", "v", "--json"}, "--json"},
        Mistake{{"list", "/", "--json", "--keys"}, "--json excludes"},
        Mistake{{"list", "/", "--limit", "0"}, "--limit: '0'"},
        Mistake{{"get", "/a", "-v", "--json"}, "--json excludes"},
        Mistake{{"delete", "/a", "--subtree"}, "'/a' is no subtree"},
        Mistake{{"delete", "/a/", "--subtree", "--if-revision", "1"}, "exclude"},
        Mistake{{"put", "/a/", "b", "--subtree"}, "--subtree"},
        Mistake{{"ping", "--count", "0"}, "--count: '0'"},
        Mistake{{"ping", "--write", ""}, "--write: the key is empty"},
        Mistake{{"completion", "csh"}, "'csh' is not bash"},
        Mistake{{"put", "/a", "-5"}, "-- ends"}, Mistake{{"get", "/a", "--tim", "5s"}, "--tim"},
        Mistake{{"elect", "/a", "s1", "--accept-loss"}, "'/a' is no subtree"},
        Mistake{{"elect", "", "s1", "--accept-loss"}, "'' is no subtree"},
        Mistake{{"elect", "/a/"}, "SHARD is missing"}, Mistake{{"backup", "s1"}, "NAME is missing"},
        Mistake{{"backup", "s1", "a/b"}, "'a/b' is no name"},
        Mistake{{"get", "/a", "--timeout"}, "timeout"},
        Mistake{{"get", "/a", "--timeout", "5"}, "--timeout: '5'"},
        Mistake{{"get", "/a", "--timeout", "25h"}, "24h"},
        Mistake{{"put", "/a", "b", "--ttl", "0s"}, "--ttl: '0s'"},
        Mistake{{"put", "/a", "b", "--ttl", "8000000000h"}, "--ttl"},
        Mistake{{"put", "/a", "b", "--if-revision", "-1"}, "--if-revision: '-1'"},
        Mistake{{"watch", "/", "--latest", "61s"}, "--latest"},
        Mistake{{"get", "/a", "--broker", "h:1"}, "--broker: 'h:1'"},
        Mistake{{"get", "/a", "--broker", "tcp://h:*"}, "port"},
        Mistake{{"get", "/a", "--broker", ","}, "--broker"},
        Mistake{{"get", "/a"}, "CANOPY_BROKER: 'nowhere'", {.broker = "nowhere"}},
        Mistake{{"get", "/a", "--json", "--json"}, "json"},
        Mistake{{"get", "/a", "--key", "k"}, "--server-key"},
        Mistake{{"get", "/a", "--server-key", "k"}, "--key"},
        Mistake{{"get", "/a"}, "CANOPY_KEY", {.key = "k"}},
        Mistake{{"get", "/a"}, "CANOPY_SERVER_KEY", {.server_key = "k"}},
        Mistake{{"kick", "p1"}, "CONNECTION is missing"},
        Mistake{{"kick", "p1", "x"}, "CONNECTION: 'x'"}, Mistake{{"kick", "p1", "1", "2"}, "'2'"},
        Mistake{{"clients", "p1"}, "'p1'"},
        Mistake{{"clients", "--sort", "size"}, "--sort: 'size'"},
        Mistake{{"status", "--proxy", "p1"}, "--proxy"}, Mistake{{"keygen"}, "NAME is missing"},
        Mistake{{"keygen", "../a"}, "'../a'"}, Mistake{{"keygen", ""}, "''"},
        Mistake{{"keygen", ".a"}, "'.a'"}, Mistake{{"keygen", std::string(64, 'a')}, "1-63"},
        Mistake{{"keygen", "a", "--timeout", "5s"}, "--timeout"},
        Mistake{{"get", "/a", "--directory", "d"}, "--directory"}));

}  // namespace
}  // namespace canopy::client::cli
