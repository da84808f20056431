// The command line of canopy-loadtest. Pure. A value out of its bounds is an error that names the
// option.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/wire/clone.h"

namespace canopy::loadtest {

enum class Phase { spread, together };

// The clients' protocol: a dialect of Clone, or Canopy's native protocol.
using Dialect = std::optional<wire::clone::Dialect>;
inline constexpr std::nullopt_t native = std::nullopt;

constexpr std::string_view name(const Dialect& dialect) {
  return dialect ? wire::clone::name(*dialect) : "native";
}

struct Options {
  std::string scenario{};  // that has set the defaults
  int clients = 100;
  std::vector<int> steps{};         // client counts, run one after another; empty: `clients` alone
  double rate = 200;                // clients that join per second
  std::optional<int> publishers{};  // how many clients publish; none: all
  int period_ms = 2000;             // between two updates of one publisher
  // Updates that a publisher keeps in flight, until it receives them itself. 0: it publishes one
  // update each period.
  int window = 0;
  int payload_bytes = 100;
  std::string subtree = "/results/";  // what the clients watch; "" is the root
  int subtrees = 1;                   // parts below `subtree`; each client has one part
  std::vector<std::string> keys{};  // client i writes keys[i % size]; empty: below what it watches
  int keys_loaded = 0;              // written before any client joins
  Phase phase = Phase::spread;
  int duration_s = 15;
  Dialect dialect = wire::clone::Dialect::kvsimple;
  int hwm = 1000;  // of each Clone client's sockets: libzmq's default
  int churn = 0;   // clients that leave and join again in each churn period
  int churn_period_s = 10;
  int join_timeout_s = 10;
  int settle_s = 10;  // without a delivery, until missing updates count as lost

  std::string broker = "127.0.0.1:8550";  // HTTP address
  std::vector<std::string> proxies{};     // endpoints of first ports, used instead of the broker
  std::string key{};                      // file with the clients' key pair; empty: no CURVE
  std::string server_key{};               // the cluster's public key, or its file

  bool baseline = false;
  int nofile = 1024;  // descriptors of the baseline server
  bool compare = false;
  bool curve = false;  // compare a cluster without CURVE and one with it
  // Of the cluster that `curve` starts, and `compare` when no broker answers.
  std::string config = "deploy/local.yaml";

  int workers = 0;  // 0: one per core, at most two
  int io_threads = 1;
  std::string json{};  // files; "-" is stdout
  std::string csv{};
  std::string html{};
  std::string svg{};

  bool help = false;
  bool version = false;
};

// Files of the report that are written to stdout instead.
inline auto outputs_on_stdout(const Options& o) {
  return std::ranges::count(std::array{o.json, o.csv, o.html, o.svg}, "-");
}

base::Result<Options> parse_options(int argc, const char* const* argv);
std::string help_text();

}  // namespace canopy::loadtest
