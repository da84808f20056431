#include "client/cli/command_line.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>
#include <sstream>

#include "client/cli/completion.h"
#include "client/cli/text.h"
#include "client/cli/usage.h"
#include "core/base/endpoint.h"
#include "core/base/text.h"
#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::client::cli {
namespace {

namespace po = boost::program_options;
using namespace std::chrono_literals;

constexpr const char* default_broker = "tcp://127.0.0.1:5550";

// The mistake, and the command that prints the right usage.
Outcome wrong(const std::string& what, const Usage* usage = nullptr) {
  const std::string topic = usage == nullptr ? "" : usage->name + " ";
  return {Exit::wrong_usage, "canopy: " + what + " (see canopy " + topic + "--help)\n"};
}

// Throws po::error.
po::variables_map read_words(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const Usage& usage : usages) {
    const std::vector<std::string> accepted = options_of(usage);
    names.insert(names.end(), accepted.begin(), accepted.end());
  }
  po::options_description known = describe("", names);
  known.add_options()("words", po::value<std::vector<std::string>>());
  using Style = po::command_line_style::style_t;
  po::variables_map given;
  po::store(po::command_line_parser(words)
                .options(known)
                .positional(po::positional_options_description().add("words", -1))
                .style(Style::default_style & ~Style::allow_guessing)
                .run(),
            given);
  return given;
}

std::string text_of(const po::variables_map& given, const char* option) {
  return given.count(option) == 0 ? std::string() : given[option].as<std::string>();
}

base::Result<std::vector<std::string>> parse_brokers(const std::string& text) {
  std::vector<std::string> brokers;
  std::istringstream list(text);
  for (std::string each; std::getline(list, each, ',');) {
    const auto address = base::parse_endpoint(each);
    if (!address) return base::Error{address.error()};
    if (!address->ipc && !address->port) return base::Error{"'" + each + "' needs a port number"};
    brokers.push_back(std::move(each));
  }
  if (brokers.empty()) return base::Error{"'" + escaped(text) + "' names no broker"};
  return brokers;
}

// Why the text is no key; empty if it is one.
std::string key_fault(const std::string& key) {
  switch (keyspace::check_key(key)) {
    case keyspace::KeyFault::none: return "";
    case keyspace::KeyFault::empty: return "the key is empty";
    case keyspace::KeyFault::too_long: return "'" + escaped(key) + "' is longer than 255 bytes";
    case keyspace::KeyFault::control_character:
      return "'" + escaped(key) + "' holds a control character";
    case keyspace::KeyFault::reserved_word: return "'" + key + "' is reserved";
  }
  return "";
}

// The name becomes the name of files.
base::Status check_file_name(const std::string& name) {
  if (base::is_file_name(name)) return {};
  return base::Error{"'" + escaped(name) + "' is no name: 1-63 of A-Z, a-z, 0-9, '-', '_' and '.'"};
}

// A partition, or what `delete --subtree` deletes: no single key, so that a forgotten '/' is found.
base::Status parse_subtree(const std::string& word, bool root_allowed, Command& command) {
  const bool root = word == "*" && root_allowed;
  command.subject = root ? "" : word;
  if (root || (!word.empty() && keyspace::is_subtree(word))) return {};
  return base::Error{
      "'" + escaped(word) + "' is no subtree" +
      (root_allowed ? ": it ends with '/', or is *" : " below the root: it ends with '/'")};
}

base::Status parse_shell(const std::string& word, Command& command) {
  command.subject = word;
  if (!completion_script(word).empty()) return {};
  return base::Error{"'" + escaped(word) + "' is not bash, zsh or fish"};
}

base::Status parse_subject(const std::string& word, Command& command) {
  switch (command.action) {
    case Action::keygen: return check_file_name(command.subject = word);
    case Action::completion: return parse_shell(word, command);
    case Action::backup: command.shards = {word}; return {};
    case Action::drain:
    case Action::kick: command.subject = word; return {};
    case Action::split: return parse_subtree(word, false, command);
    case Action::elect:
    case Action::move: return parse_subtree(word, true, command);
    case Action::erase:
      if (command.subtree) return parse_subtree(word, true, command);
      break;
    default: break;
  }
  const bool of_subtree = command.action == Action::list || command.action == Action::watch;
  command.subject = of_subtree && word == "*" ? "" : word;
  if (of_subtree && command.subject.empty()) return {};
  const std::string fault = key_fault(word);
  return fault.empty() ? base::Status() : base::Error{fault};
}

base::Status parse_second(const std::string& word, Command& command) {
  if (command.action == Action::kick) {
    const auto number = parse_number(word);
    if (!number) return base::Error{"CONNECTION: " + number.error()};
    command.connection = *number;
    return {};
  }
  if (command.action == Action::elect) {
    command.shards = {word};
    return {};
  }
  if (command.action == Action::move) {
    std::istringstream list(word);
    for (std::string each; std::getline(list, each, ',');) command.shards.push_back(each);
    return {};
  }
  if (command.action == Action::backup) return check_file_name(command.name = word);
  command.value_from_stdin = word == "-";
  if (!command.value_from_stdin) command.value = word;
  return {};
}

base::Status parse_order(const std::string& word, ClientOrder& order) {
  static const std::map<std::string, ClientOrder> orders = {
      {"queue", ClientOrder::queue},
      {"missed", ClientOrder::missed},
      {"age", ClientOrder::age},
      {"name", ClientOrder::name},
      {"connection", ClientOrder::connection}};
  const auto found = orders.find(word);
  if (found == orders.end()) {
    return base::Error{"--sort: '" + escaped(word) +
                       "' is not queue, missed, age, name or connection"};
  }
  order = found->second;
  return {};
}

base::Status parse_duration_option(const po::variables_map& given, const char* option,
                                   base::Duration limit, base::Duration& target) {
  if (given.count(option) == 0) return {};
  const auto duration = parse_duration(text_of(given, option));
  if (!duration) return base::Error{"--" + std::string(option) + ": " + duration.error()};
  if (*duration > limit) {
    return base::Error{"--" + std::string(option) + ": more than " + to_text(limit)};
  }
  target = *duration;
  return {};
}

base::Status parse_cluster(const po::variables_map& given, const Environment& environment,
                           Command& command) {
  const bool flag = given.count("broker") != 0;
  const std::string list = flag                         ? text_of(given, "broker")
                           : environment.broker.empty() ? std::string(default_broker)
                                                        : environment.broker;
  auto brokers = parse_brokers(list);
  if (!brokers) return base::Error{(flag ? "--broker: " : "CANOPY_BROKER: ") + brokers.error()};
  command.cluster.brokers = std::move(*brokers);
  const auto choose = [&given](const char* option, const std::string& variable) {
    return given.count(option) == 0 ? variable : text_of(given, option);
  };
  command.own_key = choose("key", environment.key);
  command.server_key = choose("server-key", environment.server_key);
  if (command.own_key.empty() == command.server_key.empty()) return {};
  return base::Error{command.own_key.empty() ? "--server-key (CANOPY_SERVER_KEY) needs --key"
                                             : "--key (CANOPY_KEY) needs --server-key"};
}

base::Status parse_number_option(const po::variables_map& given, const char* option,
                                 std::optional<std::uint64_t>& target) {
  if (given.count(option) == 0) return {};
  const auto number = parse_number(text_of(given, option));
  if (!number) return base::Error{"--" + std::string(option) + ": " + number.error()};
  target = *number;
  return {};
}

base::Status parse_numbers(const po::variables_map& given, Command& command) {
  std::optional<std::uint64_t> revision, limit, count;
  for (auto status :
       {parse_number_option(given, "if-revision", revision),
        parse_number_option(given, "limit", limit), parse_number_option(given, "count", count)}) {
    if (!status) return status;
  }
  if (limit == 0u) return base::Error{"--limit: '0' is no number of keys"};
  if (count == 0u) return base::Error{"--count: '0' is no number of probes"};
  if (revision) command.if_revision = keyspace::Revision(*revision);
  command.limit = limit.value_or(0);
  command.count = count.value_or(0);
  return {};
}

base::Status parse_options(const po::variables_map& given, Command& command) {
  command.directory = given.count("directory") == 0 ? "." : text_of(given, "directory");
  command.json |= given.count("json") != 0;
  command.verbose = given.count("verbose") != 0;
  command.keys_only = given.count("keys") != 0;
  command.timeout = 5s;
  command.interval = 1s;
  const base::Duration max_ttl = std::chrono::milliseconds(wire::native::max_ttl_ms);
  const base::Duration max_latest = std::chrono::milliseconds(wire::native::max_latest_ms);
  for (auto status : {parse_duration_option(given, "timeout", 24h, command.timeout),
                      parse_duration_option(given, "ttl", max_ttl, command.ttl),
                      parse_duration_option(given, "interval", 24h, command.interval),
                      parse_duration_option(given, "latest", max_latest, command.latest),
                      parse_numbers(given, command)}) {
    if (!status) return status;
  }
  if (given.count("proxy") != 0) command.subject = text_of(given, "proxy");
  if (given.count("write") != 0) {
    command.write_key = text_of(given, "write");
    const std::string fault = key_fault(command.write_key);
    if (!fault.empty()) return base::Error{"--write: " + fault};
  }
  if (given.count("sort") != 0) {
    if (auto status = parse_order(text_of(given, "sort"), command.order); !status) return status;
  }
  if (command.subtree && command.if_revision) {
    return base::Error{"--subtree and --if-revision exclude each other"};
  }
  if (command.json && (command.keys_only || command.verbose)) {
    return base::Error{"--json excludes --keys and --verbose"};
  }
  return {};
}

Outcome unaccepted(const Command& command) {
  const std::string partition = command.subject.empty() ? "*" : escaped(command.subject);
  return {Exit::wrong_usage,
          "canopy: " + partition + " would go on with the data of " +
              escaped(command.shards.front()) +
              ": every other acknowledged write, perhaps every write, would be lost for good\n"
              "canopy: first try to start the shards that were in sync; else add --accept-loss\n"};
}

std::variant<Command, Outcome> make_command(const Usage& usage, const po::variables_map& given,
                                            const std::vector<std::string>& arguments,
                                            const Environment& environment) {
  const std::vector<std::string> accepted = options_of(usage);
  for (const auto& [option, value] : given) {
    if (option == "words" || std::ranges::find(accepted, option) != accepted.end()) continue;
    return wrong(usage.name + " has no option --" + option, &usage);
  }
  if (arguments.size() < usage.arguments.size()) {
    return wrong(usage.name + ": " + usage.arguments[arguments.size()] + " is missing", &usage);
  }
  if (arguments.size() > usage.arguments.size()) {
    return wrong(usage.name + ": '" + escaped(arguments[usage.arguments.size()]) +
                     "' is one argument too many",
                 &usage);
  }
  Command command{.action = usage.action};
  command.json = usage.name == "export";
  command.subtree = given.count("subtree") != 0;
  if (!arguments.empty()) {
    const auto status = parse_subject(arguments[0], command);
    if (!status) return wrong(usage.name + ": " + status.error(), &usage);
  }
  if (arguments.size() == 2) {
    const auto status = parse_second(arguments[1], command);
    if (!status) return wrong(usage.name + ": " + status.error(), &usage);
  }
  if (usage.connects) {
    const auto status = parse_cluster(given, environment, command);
    if (!status) return wrong(status.error(), &usage);
  }
  const auto status = parse_options(given, command);
  if (!status) return wrong(status.error(), &usage);
  if (command.action == Action::elect && given.count("accept-loss") == 0)
    return unaccepted(command);
  return command;
}

}  // namespace

std::variant<Command, Outcome> parse_command_line(const std::vector<std::string>& words,
                                                  const Environment& environment) {
  po::variables_map given;
  try {
    given = read_words(words);
  } catch (const po::unknown_option& fault) {
    return wrong(escaped(fault.what()) + "; -- ends the options");
  } catch (const po::error& fault) {
    return wrong(escaped(fault.what()));
  }
  if (given.count("version") != 0) return Outcome{Exit::ok, "canopy " CANOPY_VERSION "\n"};
  std::vector<std::string> arguments;
  if (given.count("words") != 0) arguments = given["words"].as<std::vector<std::string>>();
  if (arguments.empty()) {
    return given.count("help") != 0 ? Outcome{Exit::ok, help_text()} : wrong("COMMAND is missing");
  }
  const auto usage = std::ranges::find(usages, arguments.front(), &Usage::name);
  if (usage == usages.end()) return wrong("'" + escaped(arguments.front()) + "' is no command");
  if (given.count("help") != 0) return Outcome{Exit::ok, help_text(*usage)};
  arguments.erase(arguments.begin());
  return make_command(*usage, given, arguments, environment);
}

}  // namespace canopy::client::cli
