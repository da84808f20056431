// The supervisor over real processes: shell scripts in place of the cluster's programs.
#include "broker/supervisor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/net/signals.h"

namespace canopy::broker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() {
    std::string name = fs::temp_directory_path() / "canopy-supervisor-XXXXXX";
    directory_ = mkdtemp(name.data());
    signals_.attach(loop_, [this](int) {
      if (supervisor_) supervisor_->reap();
    });
  }
  ~SupervisorTest() override {
    supervisor_.reset();
    fs::remove_all(directory_);
  }

  // A program in the manner of the cluster's: its script runs with the arguments of a real one.
  Program program(const std::string& role, const std::string& name, const std::string& script) {
    const fs::path path = directory_ / ("canopy-" + role + "-" + name);
    std::ofstream(path) << "#!/bin/sh\ncd " << directory_.string() << "\n" << script << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return {role, name, {path.string(), "--name", name}, 0};
  }
  void supervise(std::vector<Program> programs, base::Duration drain = seconds(5)) {
    supervisor_ = std::make_unique<Supervisor>(loop_, std::move(programs), drain);
    supervisor_->on_restart([this](const Program& program) { ++restarts_[program.name]; });
    supervisor_->on_exit([this](const Program& program) { ++exits_[program.name]; });
    supervisor_->start();
  }
  void stop() {
    supervisor_->stop([this] { stopped_ = true; });
  }

  template <typename Done>
  bool until(Done done, milliseconds timeout = seconds(10)) {
    const auto give_up = loop_.now() + timeout;
    bool is_done = false;
    const auto poll = loop_.every(milliseconds(5), [&] {
      is_done = done();
      if (is_done || loop_.now() >= give_up) loop_.stop();
    });
    loop_.run();
    loop_.cancel(poll);
    return is_done;
  }
  bool exists(const std::string& file) { return fs::exists(directory_ / file); }
  std::string read(const std::string& file) {
    std::stringstream text;
    text << std::ifstream(directory_ / file).rdbuf();
    return text.str();
  }
  // Tells TERM apart from KILL, and says when.
  static std::string obedient(const std::string& name) {
    return "trap 'echo " + name + " >> stopped; exit 0' TERM\ntouch up-" + name +
           "\nwhile :; do sleep 0.05; done";
  }

  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Signals signals_{SIGCHLD};
  fs::path directory_;
  std::unique_ptr<Supervisor> supervisor_;
  std::map<std::string, int> restarts_;
  std::map<std::string, int> exits_;
  bool stopped_ = false;
};

TEST_F(SupervisorTest, TheProgramsOfAFile) {
  config::Cluster cluster{.file = "some/file.yaml", .state_dir = "state"};
  cluster.shards = {{.name = "rest", .nofile = 77}};
  cluster.proxies = {{.name = "p1"}};
  cluster.log_level = "debug";
  const auto programs = programs_of(cluster, "/opt/bin");
  ASSERT_EQ(programs.size(), 2U);
  const std::string here = fs::current_path();
  EXPECT_EQ(programs[0].role, "shard");
  EXPECT_EQ(programs[0].nofile, 77U);
  EXPECT_THAT(programs[0].command,
              ::testing::ElementsAre(
                  "/opt/bin/canopy-shard", "--config=" + here + "/some/file.yaml", "--name=rest",
                  "--state-dir=" + here + "/state", "--log-level=debug", "--log-format=text"));
  EXPECT_EQ(programs[1].command.front(), "/opt/bin/canopy-proxy");
}

TEST_F(SupervisorTest, AChildStartsWithItsArgumentsItsLimitAndNothingElse) {
  Program probe = program("proxy", "p1",
                          "echo \"$@\" > arguments; ulimit -Sn > soft; ulimit -Hn > hard\n"
                          "ls /proc/self/fd | wc -l > open; grep SigBlk /proc/self/status > mask\n"
                          "touch done\nexec sleep 60");
  probe.nofile = 123;
  const int leaked = open("/dev/null", O_RDONLY);  // without close-on-exec
  supervise({probe});
  EXPECT_TRUE(until([&] { return exists("done"); }));
  close(leaked);
  EXPECT_EQ(read("arguments"), "--name p1\n");
  EXPECT_EQ(read("soft"), "123\n");
  EXPECT_EQ(read("hard"), "123\n");
  EXPECT_LE(std::stoi(read("open")), 4) << "stdin, stdout, stderr and the folder that ls reads";
  EXPECT_THAT(read("mask"), HasSubstr("0000000000000000"));
  EXPECT_NE(supervisor_->pid("proxy", "p1"), 0);
}

TEST_F(SupervisorTest, RestartsAProcessWithBackOff) {
  supervise({program("shard", "bad", "echo x >> starts; exit 2")});
  EXPECT_TRUE(until([&] { return restarts_["bad"] == 3; }));
  EXPECT_THAT(read("starts"), ::testing::StartsWith("x\nx\nx\n"));
  EXPECT_FALSE(until([&] { return restarts_["bad"] > 4; }, milliseconds(1000)))
      << "the fourth comes 800 ms later, the fifth 1600 ms after that";
}

TEST_F(SupervisorTest, RestartsAKilledProcess) {
  supervise({program("proxy", "p1", "touch up\nexec sleep 60")});
  ASSERT_TRUE(until([&] { return exists("up"); }));
  const pid_t first = supervisor_->pid("proxy", "p1");
  kill(first, SIGKILL);
  EXPECT_TRUE(until([&] {
    const pid_t now = supervisor_->pid("proxy", "p1");
    return now != 0 && now != first;
  }));
  EXPECT_EQ(restarts_["p1"], 1);
  EXPECT_EQ(exits_["p1"], 1);
}

TEST_F(SupervisorTest, AMissingProgramIsTriedAgain) {
  Program later = program("shard", "late", "touch up\nexec sleep 60");
  const fs::path path = later.command.front();
  fs::rename(path, path.string() + ".away");
  supervise({later});
  EXPECT_TRUE(until([&] { return restarts_["late"] == 1; }));
  EXPECT_EQ(exits_["late"], 0) << "it has not run";
  fs::rename(path.string() + ".away", path);
  EXPECT_TRUE(until([&] { return exists("up"); }));
}

TEST_F(SupervisorTest, ProxiesStopBeforeShards) {
  supervise({program("shard", "s", obedient("s")), program("proxy", "p", obedient("p")),
             program("proxy", "q", obedient("q"))});
  ASSERT_TRUE(until([&] { return exists("up-s") && exists("up-p") && exists("up-q"); }));
  stop();
  EXPECT_TRUE(until([&] { return stopped_; }));
  EXPECT_THAT(read("stopped"), ::testing::AnyOf("p\nq\ns\n", "q\np\ns\n"));
  EXPECT_THAT(restarts_, ::testing::IsEmpty());
}

TEST_F(SupervisorTest, KillsAProcessThatDoesNotStopInTime) {
  supervise({program("shard", "s", obedient("s")),
             program("proxy", "stubborn",
                     "trap '' TERM\ntouch up-stubborn\nwhile :; do sleep 0.05; done")},
            milliseconds(600));
  ASSERT_TRUE(until([&] { return exists("up-s") && exists("up-stubborn"); }));
  const auto asked = loop_.now();
  stop();
  EXPECT_TRUE(until([&] { return stopped_; }));
  EXPECT_GE(loop_.now() - asked, milliseconds(600));
  EXPECT_EQ(read("stopped"), "s\n") << "the shard still gets its half of the time";
}

TEST_F(SupervisorTest, ASecondStopKillsAtOnce) {
  supervise({program("proxy", "stubborn", "trap '' TERM\ntouch up\nwhile :; do sleep 0.05; done")},
            seconds(60));
  ASSERT_TRUE(until([&] { return exists("up"); }));
  stop();
  stop();
  EXPECT_TRUE(until([&] { return stopped_; }, seconds(5)));
}

TEST_F(SupervisorTest, StoppingWhileAProcessIsDownIsStopping) {
  supervise({program("shard", "bad", "exit 2")});
  ASSERT_TRUE(until([&] { return restarts_["bad"] == 2; }));
  ASSERT_TRUE(until([&] { return supervisor_->pid("shard", "bad") == 0; }));
  stop();
  EXPECT_TRUE(until([&] { return stopped_; }, seconds(1)));
}

// A supervisor killed outright leaves nothing behind.
TEST_F(SupervisorTest, ChildrenDieWithTheirSupervisor) {
  const Program child = program("proxy", "p", "echo $$ > pid\n" + obedient("p"));
  const pid_t parent = fork();
  if (parent == 0) {
    if (!spawn(child)) _exit(1);
    pause();
    _exit(0);
  }
  EXPECT_TRUE(until([&] { return exists("up-p"); }));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(until([&] { return exists("stopped"); }, seconds(5)));
}

}  // namespace
}  // namespace canopy::broker
