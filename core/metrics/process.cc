#include "core/metrics/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "core/metrics/descriptors.h"

namespace canopy::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using MetricLabels = std::vector<ClientMetric::Label>;

// Since the epoch. Not from /proc/stat, which is hidden where only processes are shown.
double boot_time() {
  const auto seconds = [](clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  };
  return seconds(CLOCK_REALTIME) - seconds(CLOCK_BOOTTIME);
}

struct Stat {
  double threads = 0;
  double start_seconds = 0;  // after the boot
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

// /proc/self/stat, its fields numbered as in proc(5) from the state, which is the third: the name
// before it, in brackets, may hold anything. Nothing when no descriptor is left to read it with.
std::optional<Stat> read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  std::array<double, 25> field{};
  char state = 0;
  rest >> state;
  for (std::size_t i = 4; i < field.size(); ++i) rest >> field[i];
  return Stat{.threads = field[20],
              .start_seconds = field[22] / static_cast<double>(::sysconf(_SC_CLK_TCK)),
              .virtual_bytes = field[23],
              .resident_bytes = field[24] * static_cast<double>(::sysconf(_SC_PAGESIZE))};
}

double read_start_time() {
  const std::optional<Stat> stat = read_stat();
  return stat ? boot_time() + stat->start_seconds : 0;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

MetricFamily gauge(const char* name, const char* help, double value, MetricLabels labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  return {name, help, MetricType::Gauge, {std::move(metric)}};
}

MetricFamily counter(const char* name, const char* help, double value) {
  ClientMetric metric;
  metric.counter.value = value;
  return {name, help, MetricType::Counter, {std::move(metric)}};
}

}  // namespace

ProcessCollector::ProcessCollector(const std::string& role, const std::string& name)
    : process_labels_{{"role", role}, {"name", name}},
      build_labels_{{"version", CANOPY_VERSION}, {"role", role}, {"name", name}},
      start_time_seconds_(read_start_time()) {}

std::vector<MetricFamily> ProcessCollector::Collect() const {
  const auto open = static_cast<double>(open_fds());
  const double limit = max_fds() == std::numeric_limits<std::uint64_t>::max()
                           ? std::numeric_limits<double>::infinity()
                           : static_cast<double>(max_fds());
  std::vector<MetricFamily> families = {
      counter("process_cpu_seconds_total", "User and system CPU time spent in seconds.",
              cpu_seconds()),
      gauge("process_start_time_seconds", "Start time of the process since the epoch in seconds.",
            start_time_seconds_),
      gauge("process_open_fds", "Open file descriptors.", open),
      gauge("process_max_fds", "Limit of open file descriptors.", limit),
      gauge("canopy_open_fds", "Open file descriptors of this shard, proxy or broker.", open,
            process_labels_),
      gauge("canopy_max_fds", "Limit of open file descriptors of this shard, proxy or broker.",
            limit, process_labels_),
      gauge("canopy_build_info", "Always 1; the labels name the program and its version.", 1,
            build_labels_),
  };
  if (const std::optional<Stat> stat = read_stat()) {
    families.push_back(gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
                             stat->resident_bytes));
    families.push_back(gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.",
                             stat->virtual_bytes));
    families.push_back(gauge("process_threads", "Threads of the process.", stat->threads));
  }
  return families;
}

}  // namespace canopy::metrics
