#include "core/config/program.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>
#include <map>
#include <string_view>

#include "core/base/host.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/config/changes.h"
#include "core/config/claims.h"
#include "core/config/own_entry.h"
#include "core/config/reader.h"
#include "core/keyspace/key.h"

namespace canopy::config {
namespace {

namespace po = boost::program_options;

constexpr int wrong_usage = 2;
constexpr const char* permissions_taken_on = " (what clients may do is as the file says)";

struct Program {
  std::string name;
  std::string summary;
};

Program program_of(Role role) {
  switch (role) {
    case Role::broker:
      return {"canopy-broker",
              "Keeps the directory of a Canopy cluster, starts and keeps up the shards and proxies "
              "of this\nmachine, and shows the cluster's state over HTTP."};
    case Role::shard:
      return {"canopy-shard",
              "Serves the partitions of one shard of a Canopy cluster: keeps their keys, orders "
              "their\nupdates and publishes them to the proxies."};
    case Role::proxy:
      return {"canopy-proxy",
              "Takes the clients of a Canopy cluster: answers their snapshots, fans updates out to "
              "them and\nforwards what they write to the shards."};
  }
  return {};
}

po::options_description options(Role role) {
  po::options_description all("Options", 100);
  const auto text = [](const char* placeholder) {
    return po::value<std::string>()->value_name(placeholder);
  };
  all.add_options()                                                                           //
      ("config,c", text("FILE"), "the YAML file that describes the cluster (CANOPY_CONFIG)")  //
      ("name,n", text("NAME"),
       "which process of the file this one is; %h is the host's name (CANOPY_NAME)")           //
      ("state-dir", text("DIR"), "overrides state_dir of the file (CANOPY_STATE_DIR)")         //
      ("log-level", text("LEVEL"), "debug, info, warn or error (CANOPY_LOG_LEVEL)")            //
      ("log-format", text("FORMAT"), "text or json (CANOPY_LOG_FORMAT)")                       //
      ("check-config,t", "check the file, print its error, and exit")                          //
      ("health", "ask the running process of this name how it is: exit code 0, or 1 and why")  //
      ("version", "print the version and exit")                                                //
      ("help,h", "print this text and exit");
  if (role == Role::shard) {
    all.add_options()("restore", text("BACKUP"),
                      "make this backup (canopy backup) the store of this shard, and exit");
  }
  return all;
}

const std::map<std::string, std::string>& variables() {
  static const std::map<std::string, std::string> names = {{"CANOPY_CONFIG", "config"},
                                                           {"CANOPY_NAME", "name"},
                                                           {"CANOPY_STATE_DIR", "state-dir"},
                                                           {"CANOPY_LOG_LEVEL", "log-level"},
                                                           {"CANOPY_LOG_FORMAT", "log-format"}};
  return names;
}

// The values given, and the source of each: its flag or its variable.
struct Given {
  po::variables_map values;
  std::map<std::string, std::string> sources;

  bool has(const std::string& option) const { return values.count(option) != 0; }
  std::string text(const std::string& option) const {
    return has(option) ? values[option].as<std::string>() : std::string();
  }
};

// Throws po::error for a wrong command line.
Given read_arguments(int argc, const char* const* argv, const po::options_description& known) {
  using Style = po::command_line_style::style_t;
  const int style = Style::default_style & ~Style::allow_guessing;
  Given given;
  po::store(po::command_line_parser(argc, argv)
                .options(known)
                .positional(po::positional_options_description())
                .style(style)
                .run(),
            given.values);
  for (const auto& [option, value] : given.values) given.sources[option] = "--" + option;

  const auto option_of = [](const std::string& variable) {
    const auto found = variables().find(variable);
    return found == variables().end() ? std::string() : found->second;
  };
  po::parsed_options environment = po::parse_environment(known, option_of);
  std::erase_if(environment.options,
                [](const po::option& option) { return option.value.front().empty(); });
  po::store(environment, given.values);
  for (const auto& [variable, option] : variables()) given.sources.try_emplace(option, variable);
  po::notify(given.values);
  return given;
}

void print_help(const Program& program, const po::options_description& known) {
  std::cout << program.summary << "\n\nUsage: " << program.name
            << " --config FILE [--name NAME] [options]\n\n"
            << known
            << "\nA flag goes before its environment variable (in brackets), and both before the "
               "file.\nSignals: TERM and INT stop the program cleanly; HUP reads the file again.\n";
}

template <typename Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> names;
  for (const Named& each : all) names.push_back(each.name);
  return names;
}

std::vector<std::string> proxy_names(const Cluster& cluster) {
  std::vector<std::string> names = names_of(cluster.proxies);
  for (const Proxy& each : cluster.proxy_templates) names.push_back(each.name);
  return names;
}

std::string list_names(const std::vector<std::string>& names) {
  return names.empty() ? "none" : base::joined(names);
}

// This process's name, checked against the file.
base::Result<std::string> resolve_name(Role role, const Cluster& cluster, const std::string& name) {
  if (role == Role::broker) {
    if (name.empty() || name == cluster.broker.name) return cluster.broker.name;
    return base::Error{"--name: the broker of " + cluster.file + " is '" + cluster.broker.name +
                       "', not '" + name + "'"};
  }
  const bool shard = role == Role::shard;
  if (shard ? cluster.find_shard(name) != nullptr : cluster.find_proxy(name) != nullptr) {
    return name;
  }
  const std::string what =
      name.empty() ? "is missing" : "'" + name + "' is not a " + (shard ? "shard" : "proxy");
  return base::Error{"--name: " + what + "; the " + (shard ? "shards" : "proxies") + " of " +
                     cluster.file + ": " +
                     list_names(shard ? names_of(cluster.shards) : proxy_names(cluster))};
}

std::string count(std::size_t number, const std::string& one, const std::string& many) {
  return std::to_string(number) + " " + (number == 1 ? one : many);
}

base::Result<Cluster> read_with(const std::string& file,
                                const std::vector<Start::Override>& overrides,
                                const std::string& name, ReadTo purpose) {
  auto cluster = read_cluster(file, purpose);
  if (!cluster) return cluster;
  for (const auto& [key, value, source] : overrides) {
    if (auto status = override_setting(*cluster, key, value, source); !status) {
      return base::Error{status.error()};
    }
  }
  if (auto status = complete_own_entry(*cluster, name); !status) {
    return base::Error{file + ": " + status.error()};
  }
  return cluster;
}

base::Status check_pair(const Cluster& cluster) {
  if (!cluster.security || access::is_pair(cluster.security->server_key)) return {};
  return Place{cluster.file, cluster.server_key_line, "security.server_key"}.error(
      "the public and the secret key of the file do not belong together: make new ones with "
      "canopy keygen");
}

base::Result<Start> make_start(Role role, const Given& given) {
  if (!given.has("config")) return base::Error{"--config FILE is missing (see --help)"};
  std::vector<Start::Override> overrides;
  for (const auto& [option, key] : {std::pair("state-dir", "state_dir"),
                                    {"log-level", "log_level"},
                                    {"log-format", "log_format"}}) {
    if (!given.has(option)) continue;
    overrides.push_back({key, given.text(option), given.sources.at(option)});
  }
  const std::string called = expand_name(given.text("name"), base::host_name());
  auto cluster = read_with(given.text("config"), overrides, called, ReadTo::start);
  if (!cluster) return base::Error{cluster.error()};
  if (const auto status = check_pair(*cluster); !status) return base::Error{status.error()};
  const bool nameless = given.has("check-config") && !given.has("name");
  if (nameless) return Start{std::move(*cluster), ""};
  auto name = resolve_name(role, *cluster, called);
  if (!name) return base::Error{name.error()};
  return Start{.cluster = std::move(*cluster),
               .name = std::move(*name),
               .overrides = std::move(overrides),
               .health = given.has("health"),
               .restore = given.text("restore")};
}

int refuse(const Program& program, const std::string& why) {
  std::cerr << program.name << ": " << why << "\n";
  return wrong_usage;
}

}  // namespace

CommandLine parse_command_line(Role role, int argc, char** argv) {
  const Program program = program_of(role);
  const po::options_description known = options(role);
  Given given;
  try {
    given = read_arguments(argc, argv, known);
  } catch (const po::error& fault) {
    return refuse(program, std::string(fault.what()) + " (see --help)");
  }
  if (given.has("help")) {
    print_help(program, known);
    return 0;
  }
  if (given.has("version")) {
    std::cout << program.name << " " << CANOPY_VERSION << "\n";
    return 0;
  }
  const auto start = make_start(role, given);
  if (!start) return refuse(program, start.error());
  if (given.has("check-config")) {
    const Cluster& cluster = start->cluster;
    std::cout << cluster.file << ": ok (1 broker, "
              << count(cluster.shards.size(), "shard", "shards") << ", "
              << count(cluster.proxies.size(), "proxy", "proxies");
    for (const Proxy& each : cluster.proxy_templates) std::cout << ", any " << each.name;
    std::cout << ")\n";
    return 0;
  }
  return *start;
}

base::Result<std::vector<std::string>> reload(
    Start& running, const std::function<void(const Security& wanted)>& permit,
    const std::function<base::Status(const Cluster& wanted)>& take_on) {
  namespace log = base::log;
  const std::string file = running.cluster.file;
  std::string permitted;
  running.read = {.fingerprint = {}, .number = running.read.number + 1, .refused = {}};
  const auto refused = [&](const std::string& why) {
    running.read.refused = why + permitted;
    log::error("config",
               permitted.empty() ? "reload refused, nothing is changed"
                                 : "reload refused, only the permissions of clients are changed",
               {{"why", why}});
    return base::Error{running.read.refused};
  };
  auto wanted = read_with(file, running.overrides, running.name, ReadTo::reload);
  if (!wanted) return refused(wanted.error());
  running.read.fingerprint = wanted->fingerprint;
  Changes found = changes(running.cluster, *wanted);
  if (running.cluster.security && wanted->security) {
    permit(*wanted->security);
    auto& clients = running.cluster.security->clients;
    if (clients != wanted->security->clients) permitted = permissions_taken_on;
    clients = wanted->security->clients;
  }
  if (!found.fixed.empty())
    return refused(file + ": takes a restart: " + base::joined(found.fixed));
  if (const auto status = take_on(*wanted); !status) return refused(status.error());
  log::set_level(log::to_level(wanted->log_level));
  log::info(
      "config", "reloaded",
      {{"file", file}, {"changed", found.live.empty() ? "nothing" : base::joined(found.live)}});
  running.cluster = std::move(*wanted);
  return std::move(found.live);
}

}  // namespace canopy::config
