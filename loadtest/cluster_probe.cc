#include "loadtest/cluster_probe.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "loadtest/measure/clock.h"

namespace canopy::loadtest {
namespace {

namespace fs = std::filesystem;

std::string directory_of(std::int64_t pid) { return "/proc/" + std::to_string(pid); }

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::int64_t count_entries(const std::string& path) {
  std::error_code failed;
  std::int64_t count = 0;
  for (fs::directory_iterator at(path, failed), end; !failed && at != end; at.increment(failed)) {
    ++count;
  }
  return failed ? -1 : count;
}

std::int64_t descriptor_limit(std::int64_t pid) {
  std::istringstream lines(contents(directory_of(pid) + "/limits"));
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view label = "Max open files";
    if (line.starts_with(label)) return std::atoll(line.c_str() + label.size());
  }
  return -1;
}

// Whether the pid is a process of this machine with the given role and name.
bool is_here(const ProcessUsage& process) {
  if (process.pid <= 0) return false;
  if (process.role == "baseline") return true;  // our own child
  if (!contents(directory_of(process.pid) + "/comm").starts_with("canopy-" + process.role)) {
    return false;
  }
  if (process.role == "broker") return true;  // its command line need not hold the default name
  const std::string arguments = contents(directory_of(process.pid) + "/cmdline");
  return arguments.find(process.name + '\0') != std::string::npos;
}

double percent(std::int64_t ticks, std::int64_t elapsed_us) {
  static const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (elapsed_us <= 0) return 0;
  return 100 * static_cast<double>(ticks) / ticks_per_second /
         (static_cast<double>(elapsed_us) / 1e6);
}

}  // namespace

double ProcessUsage::descriptor_share() const {
  return descriptors_known()
             ? static_cast<double>(open_descriptors) / static_cast<double>(max_descriptors)
             : 0;
}

std::int64_t parse_cpu_ticks(const std::string& stat) {
  // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return -1;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::int64_t user = 0, system = 0;
  fields >> user >> system;
  return fields ? user + system : -1;
}

ClusterProbe::ClusterProbe(std::vector<ProcessId> processes, std::vector<pid_t> workers)
    : workers_(std::move(workers)) {
  for (auto& process : processes) {
    usage_.push_back(
        {.role = std::move(process.role), .name = std::move(process.name), .pid = process.pid});
  }
}

ClusterProbe::Reading ClusterProbe::read() const {
  Reading reading{.at_us = measure::now_us()};
  for (const auto& process : usage_) {
    reading.processes.push_back(
        is_here(process) ? parse_cpu_ticks(contents(directory_of(process.pid) + "/stat")) : -1);
  }
  for (const pid_t worker : workers_) {
    reading.workers +=
        std::max<std::int64_t>(0, parse_cpu_ticks(contents(directory_of(worker) + "/stat")));
    std::error_code failed;
    for (fs::directory_iterator at(directory_of(worker) + "/task", failed), end;
         !failed && at != end; at.increment(failed)) {
      const std::string path = at->path().string();
      reading.threads[path] = parse_cpu_ticks(contents(path + "/stat"));
    }
  }
  // cpu user nice system idle iowait irq softirq steal
  std::istringstream machine(contents("/proc/stat"));
  std::string label;
  machine >> label;
  for (int field = 0; field < 8; ++field) {
    std::int64_t ticks = 0;
    machine >> ticks;
    reading.machine_total += ticks;
    if (field != 3 && field != 4) reading.machine_busy += ticks;
  }
  return reading;
}

void ClusterProbe::begin() {
  start_ = read();
  observe();
}

void ClusterProbe::observe() {
  for (auto& process : usage_) {
    if (!is_here(process)) continue;
    process.open_descriptors =
        std::max(process.open_descriptors, count_entries(directory_of(process.pid) + "/fd"));
    process.max_descriptors = descriptor_limit(process.pid);
  }
}

void ClusterProbe::end() {
  observe();
  const Reading now = read();
  const std::int64_t elapsed_us = now.at_us - start_.at_us;
  for (std::size_t i = 0; i < usage_.size(); ++i) {
    const std::int64_t before = start_.processes[i], after = now.processes[i];
    if (before >= 0 && after >= before) usage_[i].cpu_percent = percent(after - before, elapsed_us);
  }
  harness_.cpu_percent = percent(now.workers - start_.workers, elapsed_us);
  for (const auto& [path, ticks] : now.threads) {
    const auto before = start_.threads.find(path);
    const std::int64_t used = ticks - (before == start_.threads.end() ? 0 : before->second);
    harness_.busiest_thread_percent =
        std::max(harness_.busiest_thread_percent, percent(used, elapsed_us));
  }
  const std::int64_t total = now.machine_total - start_.machine_total;
  if (total > 0) {
    harness_.machine_percent = 100 * static_cast<double>(now.machine_busy - start_.machine_busy) /
                               static_cast<double>(total);
  }
}

}  // namespace canopy::loadtest
