// The command line of canopy-loadtest. Pure: reads argv, asks nothing of the machine.
//
// Values are refused, never clipped; an error names the option.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/wire/clone.h"

namespace canopy::loadtest {

enum class Phase { spread, together };

// What the clients speak: a dialect of Clone, or (none of these) Canopy's native protocol.
using Dialect = std::optional<wire::clone::Dialect>;
inline constexpr std::nullopt_t native = std::nullopt;

constexpr std::string_view name(const Dialect& dialect) {
  return dialect ? wire::clone::name(*dialect) : "native";
}

struct Options {
  std::string scenario{};  // that the defaults are of
  int clients = 100;
  std::vector<int> steps{};         // client counts, run one after another; empty: `clients` alone
  double rate = 200;                // clients that join per second
  std::optional<int> publishers{};  // how many clients publish; none said: all
  int period_ms = 2000;             // between two updates of one publisher
  // Updates of a publisher that it has not been delivered itself, as many as it keeps under way
  // instead of publishing once a period. 0: paced by the period.
  int window = 0;
  int payload_bytes = 100;
  std::string subtree = "/results/";  // what the clients watch; "" is the root
  int subtrees = 1;                   // how many parts below `subtree` the clients are split over
  std::vector<std::string> keys{};  // client i writes keys[i % size]; empty: below what it watches
  int keys_loaded = 0;              // written before any client joins
  Phase phase = Phase::spread;
  int duration_s = 15;
  Dialect dialect = wire::clone::Dialect::kvsimple;
  int hwm = 1000;  // of each Clone client's sockets: libzmq's default, as the guide's clients have
  int churn = 0;   // clients that leave and join again in each churn period
  int churn_period_s = 10;
  int join_timeout_s = 10;
  int settle_s = 10;  // without a delivery, until what is missing counts as lost

  std::string broker = "127.0.0.1:8550";  // HTTP address
  std::vector<std::string> proxies{};     // their first ports, used instead of the topology
  std::string key{};                      // file with the clients' own pair; empty: no CURVE
  std::string server_key{};               // the cluster's public key, or a file that holds it

  bool baseline = false;
  int nofile = 1024;  // descriptors of the baseline server
  bool compare = false;
  bool curve = false;  // on two clusters started here, without CURVE and with it
  // Cluster that is started here: for `curve`, and for `compare` when none answers.
  std::string config = "deploy/local.yaml";

  int workers = 0;  // 0: one per core, at most two
  int io_threads = 1;
  std::string json{};  // files; "-" is stdout
  std::string csv{};
  std::string html{};

  bool help = false;
  bool version = false;
};

base::Result<Options> parse_options(int argc, const char* const* argv);
std::string help_text();

}  // namespace canopy::loadtest
