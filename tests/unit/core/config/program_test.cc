#include "core/config/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace canopy::config {
namespace {

using ::testing::HasSubstr;

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    file_ = std::filesystem::temp_directory_path() /
            ("canopy-" + std::string(test->name()) + std::to_string(::getpid()) + ".yaml");
    std::ofstream(file_) << "log_level: warn\n"
                            "shards: [{name: a, partitions: [{subtree: \"*\"}]}]\n"
                            "proxies: [{name: p1}, {name: p2}]\n";
  }
  void TearDown() override {
    std::filesystem::remove(file_);
    for (const char* variable : {"CANOPY_CONFIG", "CANOPY_NAME", "CANOPY_LOG_LEVEL"}) {
      ::unsetenv(variable);
    }
  }

  // Fills out_ and err_; the exit code, or -1 when the program would run with start_.
  int run(Role role, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    CommandLine line = parse_command_line(role, static_cast<int>(argv.size()), argv.data());
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    if (std::holds_alternative<int>(line)) return std::get<int>(line);
    start_ = std::get<Start>(line);
    return -1;
  }

  std::string file_, out_, err_;
  Start start_;
};

TEST_F(Program, StartsWithFileAndName) {
  ASSERT_EQ(run(Role::proxy, {"--config", file_, "--name", "p2"}), -1) << err_;
  EXPECT_EQ(start_.name, "p2");
  EXPECT_EQ(start_.cluster.file, file_);
  EXPECT_EQ(start_.cluster.log_level, "warn");
  ASSERT_EQ(run(Role::shard, {"-c", file_, "-n", "a"}), -1) << err_;
}

TEST_F(Program, TheBrokerNeedsNoName) {
  ASSERT_EQ(run(Role::broker, {"--config", file_}), -1) << err_;
  EXPECT_EQ(start_.name, "broker");
  EXPECT_EQ(run(Role::broker, {"--config", file_, "--name", "p1"}), 2);
  EXPECT_THAT(err_, HasSubstr("is 'broker', not 'p1'"));
}

TEST_F(Program, AWrongNameIsToldWhatExists) {
  EXPECT_EQ(run(Role::proxy, {"--config", file_}), 2);
  EXPECT_EQ(err_, "canopy-proxy: --name: is missing; the proxies of " + file_ + ": p1, p2\n");
  EXPECT_EQ(run(Role::shard, {"--config", file_, "--name", "p1"}), 2);
  EXPECT_EQ(err_, "canopy-shard: --name: 'p1' is not a shard; the shards of " + file_ + ": a\n");
}

TEST_F(Program, FlagsOverEnvironmentOverFile) {
  ::setenv("CANOPY_CONFIG", file_.c_str(), 1);
  ::setenv("CANOPY_NAME", "p1", 1);
  ::setenv("CANOPY_LOG_LEVEL", "error", 1);
  ::setenv("CANOPY_BIN", "some other variable", 1);
  ASSERT_EQ(run(Role::proxy, {}), -1) << err_;
  EXPECT_EQ(start_.name, "p1");
  EXPECT_EQ(start_.cluster.log_level, "error");
  ASSERT_EQ(run(Role::proxy,
                {"--log-level", "debug", "--name=p2", "--state-dir", "/x", "--log-format", "json"}),
            -1);
  EXPECT_EQ(start_.name, "p2");
  EXPECT_EQ(start_.cluster.log_level, "debug");
  EXPECT_EQ(start_.cluster.log_format, "json");
  EXPECT_EQ(start_.cluster.state_dir, "/x");
  ::setenv("CANOPY_LOG_LEVEL", "", 1);
  ASSERT_EQ(run(Role::proxy, {}), -1) << err_;
  EXPECT_EQ(start_.cluster.log_level, "warn");
}

TEST_F(Program, WrongOverridesAreNamed) {
  EXPECT_EQ(run(Role::broker, {"--config", file_, "--log-level", "loud"}), 2);
  EXPECT_THAT(err_, HasSubstr("canopy-broker: --log-level: 'loud' is none of"));
  ::setenv("CANOPY_LOG_LEVEL", "loud", 1);
  EXPECT_EQ(run(Role::broker, {"--config", file_}), 2);
  EXPECT_THAT(err_, HasSubstr("canopy-broker: CANOPY_LOG_LEVEL: 'loud' is none of"));
}

TEST_F(Program, CheckConfig) {
  EXPECT_EQ(run(Role::proxy, {"--config", file_, "--check-config"}), 0);
  EXPECT_EQ(out_, file_ + ": ok (1 broker, 1 shard, 2 proxies)\n");
  EXPECT_EQ(run(Role::proxy, {"-t", "-c", file_, "-n", "nobody"}), 2);
  std::ofstream(file_) << "bogus: 1\n";
  EXPECT_EQ(run(Role::proxy, {"-t", "-c", file_}), 2);
  EXPECT_THAT(err_, HasSubstr(file_ + ":1: bogus: unknown key"));
}

TEST_F(Program, WhatCannotRunYetIsCheckedAndRefused) {
  const std::string shards = "shards: [{name: a}, {name: b}]\n";
  for (const auto& [text, why] :
       {std::pair<std::string, std::string>{
            shards + "partitions: [{subtree: \"*\", on: [a, b]}]\n",
            "partitions.*.on: 2 replicas, but only one can be kept"},
        {shards + "partitions: [{subtree: \"*\", on: [a]}, {subtree: /b/, on: [b]}]\n"
                  "coordination: {etcd: {endpoints: [\"http://10.0.0.1:2379\"]}}\n",
         "coordination.etcd: only the broker can coordinate"}}) {
    std::ofstream(file_) << text;
    EXPECT_EQ(run(Role::shard, {"-c", file_, "-t"}), 0) << err_;
    for (const Role role : {Role::shard, Role::broker}) {
      EXPECT_EQ(run(role, {"-c", file_, "-n", role == Role::shard ? "a" : "broker"}), 2);
      EXPECT_THAT(err_, HasSubstr(file_ + ": " + why));
    }
  }
}

TEST_F(Program, WrongCommandLinesAreOneLine) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"--bogus"},
                                             {"stray"},
                                             {"--config"},
                                             {"--config="},
                                             {"--conf", file_},
                                             {"--config", file_, "--config", file_},
                                             {"--config", "/no/such"}}) {
    EXPECT_EQ(run(Role::broker, arguments), 2);
    EXPECT_EQ(std::ranges::count(err_, '\n'), 1) << err_;
    EXPECT_EQ(out_, "");
  }
}

TEST_F(Program, HelpAndVersion) {
  EXPECT_EQ(run(Role::shard, {"--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("Usage: canopy-shard --config FILE"));
  EXPECT_EQ(run(Role::shard, {"--version"}), 0);
  EXPECT_THAT(out_, HasSubstr("canopy-shard 0."));
}

}  // namespace
}  // namespace canopy::config
