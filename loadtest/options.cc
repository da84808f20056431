#include "loadtest/options.h"

#include <boost/program_options.hpp>
#include <limits>
#include <sstream>

#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "loadtest/measure/stamp.h"
#include "loadtest/scenario.h"

namespace canopy::loadtest {
namespace {

namespace po = boost::program_options;

// Options before they are checked.
struct Raw {
  std::string scenario, steps, phase = "spread", dialect = "kvsimple";
};

auto text(std::string& target) {
  return po::value(&target)->value_name("TEXT")->default_value(target);
}

template <typename Number>
auto number(Number& target) {
  return po::value(&target)->value_name("N")->default_value(target);
}

po::options_description load_options(Options& o, Raw& raw) {
  po::options_description load("Load");
  load.add_options()("scenario", po::value(&raw.scenario)->value_name("NAME"),
                     "a named load, see below")("clients,c", number(o.clients), "clients")(
      "publishers", po::value<int>()->value_name("N")->notifier([&o](int n) { o.publishers = n; }),
      "how many of the clients publish; default: all")("steps",
                                                       po::value(&raw.steps)->value_name("N,N,..."),
                                                       "several client counts, in this order")(
      "rate,R", po::value(&o.rate)->value_name("N")->default_value(o.rate, "200"),
      "clients that join per second")("period,i", number(o.period_ms),
                                      "ms between two updates of a publisher")(
      "window", number(o.window), "updates that a publisher keeps in flight; 0: one each period")(
      "payload", number(o.payload_bytes), "bytes of an update's value")(
      "phase", text(raw.phase), "publishers: spread over the period, or together")(
      "duration", number(o.duration_s), "seconds of measurement, after all clients have joined")(
      "churn", number(o.churn), "clients that leave and join again each churn period")(
      "churn-period", number(o.churn_period_s), "seconds");
  return load;
}

po::options_description key_options(Options& o) {
  po::options_description keys("Keys");
  keys.add_options()("subtree",
                     po::value(&o.subtree)->value_name("PREFIX")->default_value(o.subtree),
                     "what the clients watch; * is the root")(
      "subtrees", number(o.subtrees), "split the clients over N parts (g0/, g1/, ...) below it")(
      "keys-loaded", number(o.keys_loaded), "keys written before any client joins")(
      "keys", po::value(&o.keys)->value_name("TEMPLATE"),
      "key of client %i, of part g%g; repeatable, the clients take turns");
  return keys;
}

po::options_description target_options(Options& o, Raw& raw) {
  po::options_description target("Target");
  target.add_options()("broker", text(o.broker),
                       "HTTP address of the broker, which knows the proxies")(
      "proxy", po::value(&o.proxies)->value_name("ENDPOINT"),
      "tcp://HOST:PORT of its first port, instead of --broker; repeatable")(
      "dialect", text(raw.dialect), "kvsimple, kvmsg, chp or native")(
      "baseline", po::bool_switch(&o.baseline), "start a one-process Clone server and run on it")(
      "nofile", number(o.nofile), "descriptor limit of that server")(
      "compare", po::bool_switch(&o.compare),
      "run on the baseline, and on the cluster with Clone and native clients")(
      "config", text(o.config),
      "cluster that --curve starts, and --compare when no broker answers")(
      "key", po::value(&o.key)->value_name("FILE"),
      "NAME.key_secret of all clients, for a cluster with `security`")(
      "server-key", po::value(&o.server_key)->value_name("FILE|KEY"), "public key of that cluster")(
      "curve", po::bool_switch(&o.curve),
      "run on the cluster of --config without CURVE, then with it");
  return target;
}

po::options_description harness_options(Options& o) {
  po::options_description harness("Load generator");
  harness.add_options()("workers", number(o.workers), "processes; 0: one per core, at most two")(
      "io-threads", number(o.io_threads), "libzmq I/O threads of each, for Clone clients")(
      "hwm", number(o.hwm), "high-water mark of the sockets of Clone clients")(
      "join-timeout", number(o.join_timeout_s), "seconds a client waits for its snapshot")(
      "settle", number(o.settle_s), "seconds without a delivery, until missing updates are lost")(
      "json", po::value(&o.json)->value_name("FILE"), "write the result as JSON; - is stdout")(
      "csv", po::value(&o.csv)->value_name("FILE"), "write the result as CSV; - is stdout")(
      "html", po::value(&o.html)->value_name("FILE"), "write a report with plots; - is stdout")(
      "svg", po::value(&o.svg)->value_name("FILE"), "write a picture of the ramp; - is stdout")(
      "version", po::bool_switch(&o.version), "print the version")(
      "help,h", po::bool_switch(&o.help), "print this");
  return harness;
}

po::options_description describe(Options& o, Raw& raw) {
  po::options_description all;
  all.add(load_options(o, raw))
      .add(key_options(o))
      .add(target_options(o, raw))
      .add(harness_options(o));
  return all;
}

base::Status parse_steps(const std::string& text, std::vector<int>& steps) {
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    std::size_t used = 0;
    int count = 0;
    try {
      count = std::stoi(item, &used);
    } catch (const std::exception&) {
      used = std::string::npos;
    }
    if (used != item.size()) {
      return base::Error{"--steps: '" + item + "' is not a number of clients"};
    }
    steps.push_back(count);
  }
  if (!text.empty() && steps.empty()) return base::Error{"--steps: no number of clients"};
  return {};
}

base::Status apply(const Raw& raw, Options& o) {
  if (auto parsed = parse_steps(raw.steps, o.steps); !parsed) return parsed;

  if (raw.phase == "spread") {
    o.phase = Phase::spread;
  } else if (raw.phase == "together") {
    o.phase = Phase::together;
  } else {
    return base::Error{"--phase: spread or together, not '" + raw.phase + "'"};
  }

  bool known = raw.dialect == name(native);
  if (known) o.dialect = native;
  for (const auto dialect : wire::clone::dialects) {
    if (raw.dialect != wire::clone::name(dialect)) continue;
    o.dialect = dialect;
    known = true;
  }
  if (!known) {
    return base::Error{"--dialect: kvsimple, kvmsg, chp or native, not '" + raw.dialect + "'"};
  }

  if (o.subtree == "*") o.subtree.clear();
  return {};
}

base::Status check_bounds(const Options& o) {
  struct Bound {
    const char* name;
    double value, min, max;
  };
  constexpr double any = std::numeric_limits<int>::max();
  constexpr double max_clients = 900'000, max_loaded = 100'000;
  static_assert(max_clients + max_loaded <= measure::max_publishers);
  std::vector<Bound> bounds{
      {"clients", double(o.clients), 1, max_clients},
      {"publishers", double(o.publishers.value_or(0)), 0, max_clients},
      {"window", double(o.window), 0, 10'000},
      {"keys-loaded", double(o.keys_loaded), 0, max_loaded},
      {"rate", o.rate, 0.1, any},
      {"period", double(o.period_ms), 1, 3'600'000},
      {"payload", double(o.payload_bytes), double(measure::stamp_bytes),
       double(base::max_value_bytes)},
      {"duration", double(o.duration_s), 1, 86'400},
      {"subtrees", double(o.subtrees), 1, 10'000},
      {"hwm", double(o.hwm), 0, any},
      {"churn", double(o.churn), 0, any},
      {"churn-period", double(o.churn_period_s), 1, 86'400},
      {"join-timeout", double(o.join_timeout_s), 1, 3'600},
      {"settle", double(o.settle_s), 1, 3'600},
      {"nofile", double(o.nofile), 32, 1'048'576},
      {"workers", double(o.workers), 0, 256},
      {"io-threads", double(o.io_threads), 1, 64},
  };
  for (const int clients : o.steps) bounds.push_back({"steps", double(clients), 1, max_clients});
  for (const auto& [name, value, min, max] : bounds) {
    if (value >= min && value <= max) continue;
    std::ostringstream why;
    why.precision(10);
    why << "--" << name << ": " << value << " is not between " << min << " and " << max;
    return base::Error{why.str()};
  }
  return {};
}

base::Status check_rules(const Options& o) {
  if (keyspace::check_prefix(o.subtree) != keyspace::KeyFault::none) {
    return base::Error{"--subtree: not a prefix of keys"};
  }
  for (const auto& key : o.keys) {
    if (key.find("%i") == std::string::npos) {
      return base::Error{"--keys: '" + key + "' has no %i: each client needs a key of its own"};
    }
  }
  for (const auto& proxy : o.proxies) {
    const auto colon = proxy.rfind(':');
    if (!proxy.starts_with("tcp://") || colon < 7 ||
        proxy.find_first_not_of("0123456789", colon + 1) != std::string::npos ||
        colon + 1 == proxy.size() || proxy.size() - colon > 6) {
      return base::Error{"--proxy: tcp://HOST:PORT, not '" + proxy + "'"};
    }
  }
  if (o.window > 0 && !o.keys.empty()) {
    return base::Error{
        "--window and --keys exclude each other: publishers must watch their own keys"};
  }
  if (o.keys_loaded > 0 && (o.baseline || o.compare || (!o.proxies.empty() && o.dialect))) {
    return base::Error{"--keys-loaded: needs a proxy with a native listener"};
  }
  if ((o.baseline || o.compare) && o.dialect != wire::clone::Dialect::kvsimple) {
    return base::Error{"--dialect: the baseline server supports only kvsimple"};
  }
  if (o.baseline && !o.proxies.empty()) {
    return base::Error{"--baseline and --proxy exclude each other"};
  }
  if (o.compare && (o.baseline || !o.proxies.empty() || !o.steps.empty())) {
    return base::Error{"--compare excludes --baseline, --proxy and --steps"};
  }
  if (o.key.empty() != o.server_key.empty()) {
    return base::Error{"--key and --server-key: give both or none"};
  }
  if (o.baseline && !o.key.empty()) {
    return base::Error{"--key: the baseline server does not support CURVE"};
  }
  if (o.curve && (o.baseline || o.compare || !o.proxies.empty() || !o.key.empty())) {
    return base::Error{"--curve excludes --baseline, --compare, --proxy and --key"};
  }
  if (outputs_on_stdout(o) > 1) {
    return base::Error{"only one of --json, --csv, --html and --svg can use stdout"};
  }
  return {};
}

base::Status read(int argc, const char* const* argv, Options& options, Raw& raw) {
  const auto description = describe(options, raw);
  try {
    po::variables_map values;
    po::store(
        po::command_line_parser(argc, argv)
            .options(description)
            .positional(po::positional_options_description())
            .style(po::command_line_style::unix_style ^ po::command_line_style::allow_guessing)
            .run(),
        values);
    po::notify(values);
  } catch (const po::error& error) {
    return base::Error{error.what()};
  }
  return {};
}

}  // namespace

base::Result<Options> parse_options(int argc, const char* const* argv) {
  Options options;
  Raw raw;
  if (auto status = read(argc, argv, options, raw); !status) return base::Error{status.error()};
  if (!raw.scenario.empty()) {
    // Parses again, over the scenario's defaults.
    options = {};
    if (!set_scenario(raw.scenario, options)) {
      return base::Error{"--scenario: there is no '" + raw.scenario + "'"};
    }
    raw = {};
    if (auto status = read(argc, argv, options, raw); !status) return base::Error{status.error()};
  }
  if (options.help || options.version) return options;
  for (const auto& status : {apply(raw, options), check_bounds(options), check_rules(options)}) {
    if (!status) return base::Error{status.error()};
  }
  return options;
}

std::string help_text() {
  Options options;
  Raw raw;
  std::ostringstream out;
  out << "canopy-loadtest: simulates thousands of clients and checks each delivery.\n"
         "Each client takes a snapshot, subscribes, and publishes one update every period.\n"
         "Exit status: 0 pass, 1 fail (a validator found a violation, a client is not served, or\n"
         "a process is short of descriptors), 2 wrong usage. The validators:\n"
         "  Ordered, Unique    a client receives each writer's updates in order, and once\n"
         "  GapDetected        a client that misses updates gets a report of the gap\n"
         "  SnapshotComplete   a client receives all updates that were written before it asked\n"
         "                     for the snapshot\n"
         "  Converged          all clients end with the written values\n"
         "  Filtered           a client receives only keys that it watches\n"
         "  AppliedOnce        each write is applied once, as acknowledged (native only)\n"
         "The first 16 bytes of a value identify the update.\n"
      << describe(options, raw) << '\n'
      << scenario_help();
  return out.str();
}

}  // namespace canopy::loadtest
