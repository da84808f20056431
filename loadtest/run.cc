#include "loadtest/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/keys.h"
#include "core/metrics/http_get.h"
#include "loadtest/baseline.h"
#include "loadtest/measure/clock.h"
#include "loadtest/measure/descriptor_limit.h"
#include "loadtest/own_cluster.h"
#include "loadtest/report.h"
#include "loadtest/report_html.h"
#include "loadtest/step.h"
#include "loadtest/worker_pool.h"

namespace canopy::loadtest {
namespace {

// Numbers of clients of --compare.
const std::vector<int> baseline_steps{100, 300, 340, 400, 1000};
const std::vector<int> cluster_steps{100, 400, 1000};

base::Result<Target> find_target(const Options& options) {
  if (!options.proxies.empty()) return given_target(options.proxies, options.dialect);
  const auto topology = wait_until_ready(options.broker);
  if (!topology) return base::Error{topology.error()};
  return cluster_target(*topology, options.dialect);
}

class Run {
 public:
  explicit Run(const Options& options)
      : options_(options), text_(outputs_on_stdout(options) > 0 ? stderr : stdout) {}

  base::Status all();
  // Whether any step has ended.
  bool started() const { return !results_.empty(); }
  // Writes the files and the verdict on the steps that have ended. `failure` is why the run ended
  // early. Returns the exit status.
  int finish(const base::Status& failure);

 private:
  base::Status steps();
  base::Status compare();
  base::Status compare_steps();
  base::Status compare_curve();
  base::Status step(const Options& options, int clients, const Target& target);
  base::Status baseline_step(int clients);
  base::Status cluster_step(const Options& options, int clients);
  base::Status read_keys();
  void print(const std::string& line) const {
    fmt::print(text_, "{}\n", line);
    std::fflush(text_);
  }
  void show(const StepResult& result) const {
    print(table_row(result));
    fmt::print(text_, "{}", table_details(result));
    std::fflush(text_);
  }
  std::vector<int> all_steps() const;

  const Options& options_;
  std::FILE* text_;
  Progress progress_;
  std::vector<StepResult> results_;
  std::optional<access::ClientKeys> keys_;  // of the clients
  std::string name_;                        // of the target, in the table; empty: the default
};

std::vector<int> Run::all_steps() const {
  if (options_.compare) {
    std::vector<int> all = baseline_steps;
    all.insert(all.end(), cluster_steps.begin(),
               cluster_steps.end());  // for Clone clients; native ones need less
    return all;
  }
  return options_.steps.empty() ? std::vector<int>{options_.clients} : options_.steps;
}

base::Status Run::all() {
  const std::uint64_t limit = measure::raise_descriptor_limit();
  for (const int clients : all_steps()) {
    if (auto fits = check_descriptors(options_, clients, limit); !fits) return fits;
  }
  print(fmt::format("canopy-loadtest {}: {}", CANOPY_VERSION, describe_load(options_)));
  if (auto read = read_keys(); !read) return read;
  if (options_.curve) return compare_curve();
  return options_.compare ? compare() : steps();
}

base::Status Run::read_keys() {
  if (options_.key.empty()) return {};
  auto keys = client::read_keys(options_.key, options_.server_key);
  if (!keys) return base::Error{keys.error()};
  keys_ = std::move(*keys);
  return {};
}

base::Status Run::steps() {
  for (const int clients : all_steps()) {
    const bool first = !started();
    auto done = options_.baseline ? baseline_step(clients) : cluster_step(options_, clients);
    if (!done) return done;
    if (first) print(table_header());
    show(results_.back());
  }
  return {};
}

base::Status Run::compare() {
  std::optional<OwnCluster> own;
  if (metrics::http_get(options_.broker, "/livez")) {
    print("using the cluster that runs at " + options_.broker);
  } else {
    print("starting a cluster: " + options_.config);
    auto started = OwnCluster::start(options_.config, options_.broker);
    if (!started) return base::Error{started.error()};
    own = std::move(*started);
  }
  auto done = compare_steps();
  if (started()) print("\n" + table_header());
  for (const auto& result : results_) show(result);
  return done;
}

base::Status Run::compare_curve() {
  if (metrics::http_get(options_.broker, "/livez")) {
    return base::Error{"--curve: a cluster runs at " + options_.broker + " already"};
  }
  for (const bool security : {false, true}) {
    name_ = security ? "curve" : "plain";
    auto own = OwnCluster::start(options_.config, options_.broker, security);
    if (!own) return base::Error{name_ + ": " + own.error()};
    keys_ = own->keys();
    if (auto done = steps(); !done) return done;
  }
  return {};
}

base::Status Run::compare_steps() {
  const auto run_all = [&](const std::vector<int>& counts, const auto& one) -> base::Status {
    for (const int clients : counts) {
      if (auto done = one(clients); !done) return done;
      const auto& result = results_.back();
      print(fmt::format("{}, {} clients: {} served, {} lost", result.target, clients, result.served,
                        result.totals.faults.lost));
    }
    return {};
  };
  Options native_options = options_;
  native_options.dialect = native;
  auto done = run_all(baseline_steps, [this](int clients) { return baseline_step(clients); });
  if (!done) return done;
  done = run_all(cluster_steps, [this](int clients) { return cluster_step(options_, clients); });
  if (!done) return done;
  return run_all(cluster_steps, [&](int clients) { return cluster_step(native_options, clients); });
}

base::Status Run::step(const Options& options, int clients, const Target& target) {
  auto result = run_step(options, clients, target, progress_);
  if (!result) {
    return base::Error{fmt::format("{} at {} clients: {}", target.name, clients, result.error())};
  }
  results_.push_back(std::move(*result));
  return {};
}

base::Status Run::baseline_step(int clients) {
  auto baseline = start_baseline(options_.nofile);
  if (!baseline) return base::Error{baseline.error()};
  return step(options_, clients, baseline->target);
}

base::Status Run::cluster_step(const Options& options, int clients) {
  auto target = find_target(options);
  if (!target) return base::Error{target.error()};
  target->keys = keys_;
  if (!name_.empty()) target->name = name_;
  return step(options, clients, *target);
}

base::Status write_to(const std::string& path, const std::string& text) {
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "w");
  if (file == nullptr) return base::Error{"cannot write " + path};
  bool written = std::fputs(text.c_str(), file) >= 0;
  written = (file == stdout ? std::fflush(file) : std::fclose(file)) == 0 && written;
  return written ? base::Status() : base::Error{"cannot write " + path};
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &utc)};
}

int Run::finish(const base::Status& failure) {
  std::vector<StepResult> judged = results_;
  if (options_.compare) {
    std::erase_if(judged, [](const StepResult& result) { return result.target == "baseline"; });
    print("The verdict is on the cluster's rows, not on the baseline's.");
  }
  Verdict verdict = evaluate(judged);
  if (!failure) verdict.reasons.push_back(failure.error());
  base::Status written;
  if (!options_.json.empty()) {
    written = write_to(options_.json, to_json(options_, results_, verdict).dump(2) + "\n");
  }
  if (written && !options_.csv.empty()) written = write_to(options_.csv, to_csv(results_));
  if (written && !options_.html.empty()) {
    written = write_to(options_.html, to_html(options_, results_, verdict, time_of_day()));
  }
  if (written && !options_.svg.empty()) written = write_to(options_.svg, to_svg(results_));
  print(verdict_line(verdict));
  if (!written) {
    fmt::print(stderr, "canopy-loadtest: {}\n", written.error());
    return 2;
  }
  return verdict.pass() ? 0 : 1;
}

}  // namespace

int run(const Options& options) {
  catch_interrupts();
  Run run(options);
  const auto done = run.all();
  if (done || run.started()) return run.finish(done);
  fmt::print(stderr, "canopy-loadtest: {}\n", done.error());
  return 2;
}

}  // namespace canopy::loadtest
