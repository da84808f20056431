#include "loadtest/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::loadtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

base::Result<Options> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "canopy-loadtest");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

TEST(Options, DefaultsStand) {
  const auto options = parse({});
  ASSERT_TRUE(options.ok()) << options.error();
  EXPECT_EQ(options->clients, 100);
  EXPECT_EQ(options->period_ms, 2000);
  EXPECT_EQ(options->subtree, "/results/");
  EXPECT_EQ(options->broker, "127.0.0.1:8550");
  EXPECT_EQ(options->dialect, wire::clone::Dialect::kvsimple);
}

TEST(Options, ReadsAllOptions) {
  const auto options = parse(
      {"-c",        "7",     "-R",        "50.5",         "-i",     "20",    "--phase", "together",
       "--steps",   "10,20", "--dialect", "chp",          "--keys", "/a/%i", "--keys",  "/b/%i",
       "--subtree", "*",     "--proxy",   "tcp://h:5556", "--json", "-",     "--churn", "3"});
  ASSERT_TRUE(options.ok()) << options.error();
  EXPECT_EQ(options->clients, 7);
  EXPECT_EQ(options->rate, 50.5);
  EXPECT_EQ(options->period_ms, 20);
  EXPECT_EQ(options->phase, Phase::together);
  EXPECT_THAT(options->steps, ElementsAre(10, 20));
  EXPECT_EQ(options->dialect, wire::clone::Dialect::chp);
  EXPECT_THAT(options->keys, ElementsAre("/a/%i", "/b/%i"));
  EXPECT_EQ(options->subtree, "");
  EXPECT_THAT(options->proxies, ElementsAre("tcp://h:5556"));
  EXPECT_EQ(options->json, "-");
  EXPECT_EQ(options->churn, 3);
}

TEST(Options, HelpIgnoresOtherErrors) {
  EXPECT_TRUE(parse({"--help", "--period", "0"}).ok());
  EXPECT_THAT(help_text(), HasSubstr("--clients"));
}

TEST(Options, NativeIsADialect) {
  const auto options = parse({"--dialect", "native", "--publishers", "0"});
  ASSERT_TRUE(options.ok()) << options.error();
  EXPECT_EQ(options->dialect, native);
  EXPECT_EQ(options->publishers, 0);
  EXPECT_FALSE(parse({})->publishers);
}

TEST(Options, KeyOptionsGoTogether) {
  const auto options = parse({"--key", "a.key_secret", "--server-key", "c.key", "--compare"});
  ASSERT_TRUE(options.ok()) << options.error();
  EXPECT_EQ(options->key, "a.key_secret");
  EXPECT_EQ(options->server_key, "c.key");
  EXPECT_TRUE(parse({"--curve", "--dialect", "native"})->curve);
}

TEST(Options, AScenarioSetsDefaultsThatOthersOverride) {
  const auto options = parse({"--period", "40", "--scenario", "fanout-5-1000-5-250K"});
  ASSERT_TRUE(options.ok()) << options.error();
  EXPECT_EQ(options->scenario, "fanout-5-1000-5-250K");
  EXPECT_EQ(options->clients, 1000);
  EXPECT_EQ(options->publishers, 5);
  EXPECT_EQ(options->payload_bytes, 16);
  EXPECT_EQ(options->period_ms, 40);
  EXPECT_EQ(parse({"--scenario", "join-storm", "--keys-loaded", "5"})->keys_loaded, 5);
  EXPECT_GT(parse({"--scenario", "flood"})->window, 0);
  EXPECT_THAT(help_text(), HasSubstr("fanout-1-1k"));
}

struct Mistake {
  std::vector<const char*> arguments;
  const char* named;  // what the error must mention
};

class OptionErrors : public testing::TestWithParam<Mistake> {};

TEST_P(OptionErrors, AreRefusedByName) {
  const auto options = parse(GetParam().arguments);
  ASSERT_FALSE(options.ok());
  EXPECT_THAT(options.error(), HasSubstr(GetParam().named));
}

INSTANTIATE_TEST_SUITE_P(
    All, OptionErrors,
    testing::Values(
        Mistake{{"--bogus"}, "--bogus"}, Mistake{{"stray"}, "positional"},
        Mistake{{"--clients", "many"}, "--clients"}, Mistake{{"--clients"}, "--clients"},
        Mistake{{"--clients", "1", "--clients", "2"}, "--clients"},
        Mistake{{"--client", "5"}, "--client"}, Mistake{{"--clients", "0"}, "--clients"},
        Mistake{{"--clients", "-3"}, "--clients"}, Mistake{{"--rate", "0"}, "--rate"},
        Mistake{{"--rate", "nan"}, "--rate"}, Mistake{{"--period", "0"}, "--period"},
        Mistake{{"--payload", "15"}, "--payload"}, Mistake{{"--payload", "2000000"}, "--payload"},
        Mistake{{"--steps", "10,x"}, "--steps"}, Mistake{{"--steps", "10,,20"}, "--steps"},
        Mistake{{"--steps", "10,0"}, "--steps"}, Mistake{{"--phase", "odd"}, "--phase"},
        Mistake{{"--dialect", "mqtt"}, "--dialect"}, Mistake{{"--keys", "/same"}, "%i"},
        Mistake{{"--subtree", "/a\n/"}, "--subtree"}, Mistake{{"--proxy", "h:5556"}, "--proxy"},
        Mistake{{"--proxy", "tcp://h:"}, "--proxy"}, Mistake{{"--proxy", "tcp://h:5x"}, "--proxy"},
        Mistake{{"--proxy", "tcp://:5556"}, "--proxy"},
        Mistake{{"--baseline", "--dialect", "chp"}, "kvsimple"},
        Mistake{{"--baseline", "--proxy", "tcp://h:1"}, "--baseline"},
        Mistake{{"--compare", "--steps", "1"}, "--compare"},
        Mistake{{"--scenario", "nope"}, "nope"}, Mistake{{"--publishers", "-1"}, "--publishers"},
        Mistake{{"--window", "1", "--keys", "/a/%i"}, "--window"},
        Mistake{{"--keys-loaded", "1", "--baseline"}, "--keys-loaded"},
        Mistake{{"--baseline", "--dialect", "native"}, "kvsimple"},
        Mistake{{"--key", "k"}, "--server-key"}, Mistake{{"--server-key", "k"}, "--key"},
        Mistake{{"--baseline", "--key", "k", "--server-key", "s"}, "--key"},
        Mistake{{"--curve", "--key", "k", "--server-key", "s"}, "--curve"},
        Mistake{{"--curve", "--baseline"}, "--curve"}, Mistake{{"--curve", "--compare"}, "--curve"},
        Mistake{{"--curve", "--proxy", "tcp://h:1"}, "--curve"},
        Mistake{{"--json", "-", "--csv", "-"}, "--csv"}));

}  // namespace
}  // namespace canopy::loadtest
