// canopy-simulation --seeds A..B           runs many worlds, and stops at the first that fails
// canopy-simulation --seed N [--trace]     runs one, and prints its events
//                   --broken RULE          breaks a rule of replication: the rule's invariant must
//                                          fail in one of the worlds
//                   --keep-going           does not stop at the first
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "tests/simulation/world.h"

namespace {

using namespace canopy::simulation;

struct Arguments {
  std::uint64_t first = 0, last = 0;
  bool trace = false;
  bool keep_going = false;
  Broken broken = Broken::nothing;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--trace") {
      out.trace = true;
    } else if (name == "--keep-going") {
      out.keep_going = true;
    } else if (++i == argc) {
      return std::nullopt;
    } else if (name == "--broken") {
      const auto rule = broken_rule(argv[i]);
      if (!rule) return std::nullopt;
      out.broken = *rule;
    } else if (name == "--seed" || name == "--seeds") {
      const std::string_view range = argv[i];
      const std::size_t dots = range.find("..");
      const auto first = number(range.substr(0, dots));
      const auto last = dots == std::string_view::npos ? first : number(range.substr(dots + 2));
      if (!first || !last) return std::nullopt;
      out.first = *first;
      out.last = *last;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

// Prints the seed at a failed assertion of the replica, which ends the program.
std::uint64_t running_seed = 0;
extern "C" void print_seed(int) {
  fmt::print(stderr, "seed {} ends the program\n", running_seed);
  std::_Exit(1);
}

struct Sums {
  std::uint64_t worlds = 0, events = 0, committed = 0, epochs = 0, lost = 0, failed = 0;
};

void run(const Arguments& arguments, Sums& sums) {
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    running_seed = seed;
    const Outcome outcome = World({seed, arguments.trace, arguments.broken}).run();
    ++sums.worlds;
    sums.events += outcome.events;
    sums.committed += outcome.committed;
    sums.epochs += outcome.epochs;
    sums.lost += outcome.lost ? 1 : 0;
    if (!outcome.violation) continue;
    const bool broken = arguments.broken != Broken::nothing;
    if (broken && outcome.violation->invariant != broken_invariant(arguments.broken)) continue;
    ++sums.failed;
    if (!arguments.trace && !broken && !arguments.keep_going) World({seed, true}).run();
    fmt::print("seed {}: {}: {}\n", seed, outcome.violation->invariant, outcome.violation->what());
    if (!arguments.keep_going) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  if (!arguments) {
    fmt::print(stderr,
               "usage: canopy-simulation --seeds A..B | --seed N [--trace] [--keep-going] "
               "[--broken RULE]\n");
    return 2;
  }
  std::signal(SIGABRT, print_seed);
  const auto start = std::chrono::steady_clock::now();
  Sums sums;
  run(*arguments, sums);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{} worlds in {:.1f} s: {} events, {} updates committed, {} epochs, {} lost, {} failed\n",
      sums.worlds, took.count(), sums.events, sums.committed, sums.epochs, sums.lost, sums.failed);
  const bool caught = sums.failed > 0;
  if (arguments->broken == Broken::nothing) return caught ? 1 : 0;
  if (!caught) fmt::print("no world noticed that a rule is broken\n");
  return caught ? 0 : 1;
}
