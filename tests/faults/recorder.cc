// Writes, reads and watches through a cluster's proxies and prints the history (load.h has the
// lines) until TERM. Then it waits for the current operations, and until every watcher holds the
// state of the proxies. It prints the final states:
//
//   state PROXY KEY REVISION VALUE      of each proxy; PROXY is its index on the command line
//   unreadable PROXY
//   watcher WATCHER LIVE SYNCS GAPS TAKEOVERS      counts
//   held WATCHER KEY REVISION VALUE     of the watchers whose state differs from that of proxy 0
//   end
#include <boost/program_options.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "core/net/signals.h"
#include "loadtest/measure/clock.h"
#include "tests/faults/load.h"

namespace {

using namespace canopy;
using namespace canopy::faults;
using namespace std::chrono_literals;

template <class Kind, class... Arguments>
std::vector<std::unique_ptr<Kind>> make(std::size_t count, const Load& load,
                                        Arguments&... arguments) {
  std::vector<std::unique_ptr<Kind>> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back(std::make_unique<Kind>(load, i, arguments...));
  }
  return made;
}

void print(const char* what, std::size_t number, const Observation::Map& map) {
  for (const auto& [key, held] : map) {
    std::printf("%s %zu %s %llu %s\n", what, number, key.c_str(),
                static_cast<unsigned long long>(held.revision.value()), held.value.c_str());
  }
}

class Recorder {
 public:
  Recorder(const Load& load, std::chrono::seconds settle)
      : settle_(settle),
        signals_({SIGTERM, SIGINT}),
        record_(load),
        writers_(make<Writer>(load.writers, load, record_, server_)),
        watchers_(make<Watcher>(load.watchers, load, record_, server_)),
        readers_(make<Reader>(load.proxies.size(), load, server_)) {}

  void run() {
    signals_.attach(loop_, [this](int) { finish(); });
    for (auto& each : watchers_) each->start(), each->watch();
    for (auto& each : readers_) each->start();
    for (std::size_t i = 0; i < writers_.size(); ++i) {
      Writer& writer = *writers_[i];
      writer.start();
      loop_.after(1ms * i, [&writer] { writer.write(); });
    }
    loop_.every(500ms, [] { std::fflush(stdout); });
    loop_.run();
    print_end();
  }

 private:
  void finish() {
    if (std::exchange(finishing_, true)) return;
    for (auto& each : writers_) each->finish();
    loop_.every(100ms, [this] { poll(); });
  }

  void poll() {
    const auto idle = [](const auto& each) { return each->idle(); };
    if (!std::ranges::all_of(writers_, idle)) return;
    if (deadline_ == base::TimePoint()) {
      deadline_ = loop_.now() + settle_;
      earliest_ = loop_.now() + min_settle;
    } else if (std::ranges::any_of(readers_, [](const auto& each) { return each->asking(); })) {
      return;
    } else if ((agree() && loop_.now() > earliest_) || loop_.now() > deadline_) {
      return loop_.stop();
    }
    for (auto& each : readers_) each->ask();
  }

  bool agree() const {
    const auto& state = readers_.front()->map();
    const auto same = [&](const auto& each) { return each->map() == state; };
    return state && std::ranges::all_of(readers_, same) && std::ranges::all_of(watchers_, same);
  }

  void print_end() {
    const auto& state = readers_.front()->map();
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      const auto& map = readers_[i]->map();
      map ? print("state", i, *map) : void(std::printf("unreadable %zu\n", i));
    }
    for (std::size_t i = 0; i < watchers_.size(); ++i) {
      watchers_[i]->sum_up();
      if (watchers_[i]->map() != state) print("held", i, watchers_[i]->map());
    }
    std::printf("end\n");
  }

  // All may agree on the state before a new leader; a proxy compares with it within 2 s.
  static constexpr base::Duration min_settle = std::chrono::seconds(5);

  const std::chrono::seconds settle_;
  net::Signals signals_;
  measure::MachineClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  Record record_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::vector<std::unique_ptr<Reader>> readers_;
  bool finishing_ = false;
  base::TimePoint deadline_{};
  base::TimePoint earliest_{};
};

}  // namespace

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  Load load;
  int timeout_ms = 10'000, settle = 20;
  po::options_description options("faults-recorder");
  options.add_options()("proxy", po::value(&load.proxies)->required(),
                        "tcp://HOST:PORT; repeatable")("partition", po::value(&load.partitions),
                                                       "a subtree, * is the root; repeatable")(
      "keys", po::value(&load.keys))("writers", po::value(&load.writers))(
      "watchers", po::value(&load.watchers))("rate", po::value(&load.rate), "operations a second")(
      "timeout-ms", po::value(&timeout_ms), "of an operation")("seed", po::value(&load.seed))(
      "settle", po::value(&settle), "greatest number of seconds until all agree")(
      "strict", po::bool_switch(&load.strict), "check the order around new epochs too");
  try {
    po::variables_map values;
    po::store(po::parse_command_line(argc, argv, options), values);
    po::notify(values);
  } catch (const po::error& error) {
    std::cerr << "faults-recorder: " << error.what() << '\n' << options;
    return 2;
  }
  for (std::string& each : load.partitions) each = each == "*" ? "" : each;
  load.timeout = std::chrono::milliseconds(timeout_ms);
  Recorder(load, std::chrono::seconds(settle)).run();
  return 0;
}
