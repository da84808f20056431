#include "core/metrics/registry.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace canopy::metrics {
namespace {

using ::testing::HasSubstr;

// The value of a series as exposed, such as `process_threads` or `canopy_keys{shard="a"}`.
double value_of(const std::string& exposed, const std::string& series) {
  const std::size_t start = exposed.find("\n" + series + " ");
  if (start == std::string::npos) {
    ADD_FAILURE() << series << " is not in:\n" << exposed;
    return -1;
  }
  return std::stod(exposed.substr(start + series.size() + 2));
}

TEST(Registry, ExposesWhatWasDeclared) {
  Registry registry("shard", "results");
  registry.counter("canopy_updates_received_total", "Updates.").Add({{"shard", "a"}}).Increment(2);
  registry.gauge("canopy_keys", "Keys.").Add({}).Set(7);
  auto& latency =
      registry.histogram("canopy_commit_latency_seconds", "Latency.").Add({}, latency_buckets());
  latency.Observe(0.002);
  const std::string exposed = registry.expose();
  EXPECT_THAT(exposed, HasSubstr("# HELP canopy_updates_received_total Updates.\n"
                                 "# TYPE canopy_updates_received_total counter\n"
                                 "canopy_updates_received_total{shard=\"a\"} 2\n"));
  EXPECT_EQ(value_of(exposed, "canopy_keys"), 7);
  EXPECT_EQ(value_of(exposed, "canopy_commit_latency_seconds_bucket{le=\"0.001\"}"), 0);
  EXPECT_EQ(value_of(exposed, "canopy_commit_latency_seconds_bucket{le=\"+Inf\"}"), 1);
}

TEST(Registry, KnowsItsProcess) {
  Registry registry("shard", "results");
  const std::string exposed = registry.expose();
  EXPECT_EQ(value_of(exposed, "canopy_build_info{version=\"" CANOPY_VERSION
                              "\",role=\"shard\",name=\"results\"}"),
            1);
  EXPECT_GE(value_of(exposed, "process_cpu_seconds_total"), 0);
  EXPECT_GT(value_of(exposed, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(value_of(exposed, "process_virtual_memory_bytes"),
            value_of(exposed, "process_resident_memory_bytes"));
  EXPECT_GE(value_of(exposed, "process_threads"), 1);
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_NEAR(value_of(exposed, "process_start_time_seconds"), now, 600);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(value_of(exposed, "process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(Registry, CountsDescriptorsExactly) {
  Registry registry("proxy", "p1");
  const std::string series = "canopy_open_fds{role=\"proxy\",name=\"p1\"}";
  const double before = value_of(registry.expose(), series);
  const int one = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int two = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const std::string exposed = registry.expose();
  EXPECT_EQ(value_of(exposed, series), before + 2);
  EXPECT_EQ(value_of(exposed, "process_open_fds"), before + 2);
  ::close(one);
  ::close(two);
  EXPECT_EQ(value_of(registry.expose(), series), before);
}

TEST(Registry, SaysSoWhenEveryDescriptorIsTaken) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit tight{.rlim_cur = 40, .rlim_max = limit.rlim_max};
  Registry registry("proxy", "p1");
  registry.expose();  // a sanitizer that meets a type for the first time needs a descriptor
  std::vector<int> taken;
  ::setrlimit(RLIMIT_NOFILE, &tight);
  for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(fd);
  const std::string exposed = registry.expose();
  for (const int fd : taken) ::close(fd);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(value_of(exposed, "process_open_fds"), 40);
  EXPECT_GT(value_of(exposed, "process_cpu_seconds_total"), 0);
  EXPECT_GT(value_of(exposed, "process_start_time_seconds"), 0);
}

TEST(Registry, PassesPromtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not installed";
  }
  Registry registry("shard", "results");
  registry.counter("canopy_rejected_total", "Refused.").Add({{"reason", "key_empty"}}).Increment();
  registry.histogram("canopy_batch_updates", "Sizes.").Add({}, count_buckets()).Observe(3);
  const auto file = std::filesystem::temp_directory_path() /
                    ("canopy-metrics-" + std::to_string(::getpid()) + ".txt");
  std::ofstream(file) << registry.expose();
  EXPECT_EQ(std::system(("promtool check metrics < " + file.string()).c_str()), 0);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace canopy::metrics
