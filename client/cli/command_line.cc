#include "client/cli/command_line.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>
#include <sstream>

#include "client/cli/text.h"
#include "core/config/endpoint.h"
#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::client::cli {
namespace {

namespace po = boost::program_options;
using namespace std::chrono_literals;

constexpr const char* default_broker = "tcp://127.0.0.1:5550";

struct Option {
  const char* name;         // with its letter
  const char* placeholder;  // null: a flag
  const char* help;
};
const std::vector<Option> options = {
    {"ttl", "DURATION", "the key is deleted after this time"},
    {"if-revision", "N", "only if this is the key's revision; 0: only if there is no such key"},
    {"latest", "DURATION", "only the latest value of each key, this often (up to 60s)"},
    {"json", nullptr, "JSON instead of text"},
    {"proxy", "PROXY", "only the clients of this one"},
    {"sort", "ORDER", "queue (most first), missed, age, name or connection"},
    {"directory", "DIR", "where to write the files (here)"},
    {"broker", "ENDPOINT[,...]", "the cluster (CANOPY_BROKER, or tcp://127.0.0.1:5550)"},
    {"timeout", "DURATION", "how long to wait for an answer (5s)"},
    {"key", "FILE", "your own NAME.key_secret, if the cluster has `security` (CANOPY_KEY)"},
    {"server-key", "FILE|KEY", "the public key of the cluster then (CANOPY_SERVER_KEY)"},
    {"help,h", nullptr, "print this text and exit"},
    {"version", nullptr, "print the version and exit"},
};
const std::vector<std::string> options_of_all = {"help", "version"};
const std::vector<std::string> options_to_connect = {"broker", "timeout", "key", "server-key"};

struct Usage {
  Action action;
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> options;
  std::string summary;
  std::string details;
  bool connects = true;  // to a cluster
};
const std::vector<Usage> usages = {
    {Action::put,
     "put",
     {"KEY", "VALUE"},
     {"ttl", "if-revision"},
     "sets a key and prints its new revision",
     "VALUE - is read from standard input, up to its end. Put -- before a KEY or VALUE that "
     "begins\n"
     "with '-'. An empty VALUE is a value, and the key is there; to clients of the Clone pattern,\n"
     "whose protocol deletes by an empty value, it is not. `canopy delete` deletes. When the\n"
     "revision is not the one that was named, the exit code is 3.\n"},
    {Action::get,
     "get",
     {"KEY"},
     {},
     "prints the value of a key",
     "The value is printed as it is, followed by a line feed on a terminal only. Without such a "
     "key\n"
     "the exit code is 1. A KEY that ends with '/' is one key, too; list prints a subtree.\n"},
    {Action::erase,
     "delete",
     {"KEY"},
     {"if-revision"},
     "deletes a key and prints the revision of that",
     "Deletes one key, and nothing below it. It is no error if there is no such key. When the\n"
     "revision is not the one that was named, the exit code is 3.\n"},
    {Action::list,
     "list",
     {"SUBTREE"},
     {},
     "prints the keys of a subtree: key, revision, value",
     "One line a key, sorted, separated by tabs; \\n, \\t, \\\\ and \\xNN stand for what would not "
     "fit\n"
     "in a line of text.\n"},
    {Action::watch,
     "watch",
     {"SUBTREE"},
     {"latest", "json"},
     "prints what is there, then every change as it comes",
     "One line an event, separated by tabs, escaped like those of list:\n"
     "  PUT key revision value      DEL key revision\n"
     "  GAP n                       n updates were missed (? if nobody knows); a RESYNC follows\n"
     "  RESYNC changes|full         all that was missed has been told\n"
     "As JSON: {\"type\",\"key\",\"revision\",\"value\"}, {\"type\",\"updates\"}, "
     "{\"type\",\"how\"}; bytes that\n"
     "are not UTF-8 are in \"key_base64\" and \"value_base64\", and revisions are strings. Ends "
     "with\n"
     "Ctrl-C or TERM, exit code 0, and when its output is not read any more.\n"},
    {Action::status,
     "status",
     {},
     {"json"},
     "prints how the shards and proxies are doing",
     "The exit code is 1 when one of them is not well.\n"},
    {Action::clients,
     "clients",
     {},
     {"proxy", "sort", "json"},
     "prints the connections of the proxies' clients",
     "One line a connection: its bytes queued, updates missed and catch-ups since it began, and "
     "what it\n"
     "is subscribed to. A Clone client has a connection for each of its sockets. A proxy that does "
     "not\n"
     "answer, or has no `native` endpoint, is named on standard error, and the exit code is 1. "
     "With\n"
     "`security` only an admin may ask.\n"},
    {Action::kick,
     "kick",
     {"PROXY", "CONNECTION"},
     {},
     "ends a connection",
     "CONNECTION is a number from `canopy clients`, of this proxy. The client is not kept out: it "
     "may\n"
     "connect again, and a native client does so at once. With `security` only an admin may.\n"},
    {Action::drain,
     "drain",
     {"PROXY"},
     {},
     "has a proxy send its clients elsewhere and stop",
     "Returns at once; the broker does not start the proxy again.\n"},
    {Action::reload,
     "reload",
     {},
     {},
     "has the cluster take on what its file says by now",
     "Prints the settings that were changed, one a line. When the file is wrong, or asks for what\n"
     "takes a restart, nothing is changed and the exit code is 3. Processes that the broker does "
     "not\n"
     "supervise are told with a HUP signal each.\n"},
    {Action::keygen,
     "keygen",
     {"NAME"},
     {"directory"},
     "makes a pair of keys, of the cluster or of a client",
     "Writes NAME.key_secret, which only its owner can read, and NAME.key, which anybody may;\n"
     "overwrites neither. Asks no cluster.\n",
     false},
};

po::options_description describe(const char* title, const std::vector<std::string>& names) {
  po::options_description described(title, 100);
  for (const Option& option : options) {
    const std::string name = option.name;
    if (std::ranges::find(names, name.substr(0, name.find(','))) == names.end()) continue;
    if (option.placeholder == nullptr) {
      described.add_options()(option.name, option.help);
    } else {
      const auto value = po::value<std::string>()->value_name(option.placeholder);
      described.add_options()(option.name, value, option.help);
    }
  }
  return described;
}

std::vector<std::string> options_of(const Usage& usage) {
  std::vector<std::string> names = usage.options;
  if (usage.connects) {
    names.insert(names.end(), options_to_connect.begin(), options_to_connect.end());
  }
  names.insert(names.end(), options_of_all.begin(), options_of_all.end());
  return names;
}

std::string synopsis(const Usage& usage) {
  std::string text = usage.name;
  for (const std::string& argument : usage.arguments) text += " " + argument;
  return text;
}

std::string help_text() {
  std::ostringstream text;
  text << "Reads, writes and watches the keys of a Canopy cluster.\n\n"
          "Usage: canopy COMMAND [options]\n\nCommands:\n";
  for (const Usage& usage : usages) {
    std::string left = synopsis(usage);
    left.resize(21, ' ');
    text << "  " << left << "  " << usage.summary << "\n";
  }
  std::vector<std::string> common = options_to_connect;
  common.insert(common.end(), options_of_all.begin(), options_of_all.end());
  text
      << "\nA SUBTREE is a prefix that ends with '/', a single key, or * for everything. "
         "Durations\n"
         "are such as 500ms, 5s or 2m. `canopy COMMAND --help` tells more.\n\n"
      << describe("Options", common)
      << "\nExit codes: 0 done; 1 no such key, or something is not well; 2 wrong usage; 3 refused\n"
         "by the cluster; 4 nobody answered in time; 5 standard input or output failed, or a key "
         "file.\n";
  return text.str();
}

std::string help_text(const Usage& usage) {
  std::ostringstream text;
  text << "canopy " << usage.name << " " << usage.summary << ".\n\nUsage: canopy "
       << synopsis(usage) << " [options]\n\n"
       << usage.details << "\n";
  text << describe("Options", options_of(usage));
  return text.str();
}

// What is wrong, and where to read how it would be right.
Parting wrong(const std::string& what, const Usage* usage = nullptr) {
  const std::string topic = usage == nullptr ? "" : usage->name + " ";
  return {Exit::wrong_usage, "canopy: " + what + " (see canopy " + topic + "--help)\n"};
}

// Throws po::error.
po::variables_map read_words(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const Usage& usage : usages) {
    const std::vector<std::string> taken = options_of(usage);
    names.insert(names.end(), taken.begin(), taken.end());
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
    const auto address = config::parse_endpoint(each);
    if (!address) return base::Error{address.error()};
    if (!address->ipc && !address->port) return base::Error{"'" + each + "' needs a port number"};
    brokers.push_back(std::move(each));
  }
  if (brokers.empty()) return base::Error{"'" + escaped(text) + "' names no broker"};
  return brokers;
}

// Why this cannot be a key; empty when it can.
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

// It becomes the name of files.
base::Status check_pair_name(const std::string& name) {
  constexpr std::string_view fine =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (!name.empty() && name.size() <= 63 && name.front() != '.' &&
      name.find_first_not_of(fine) == std::string::npos) {
    return {};
  }
  return base::Error{"'" + escaped(name) + "' is no name: 1-63 of A-Z, a-z, 0-9, '-', '_' and '.'"};
}

base::Status take_subject(const std::string& word, Command& command) {
  if (command.action == Action::keygen) return check_pair_name(command.subject = word);
  const bool of_subtree = command.action == Action::list || command.action == Action::watch;
  command.subject = of_subtree && word == "*" ? "" : word;
  const bool of_proxy = command.action == Action::drain || command.action == Action::kick;
  if (of_proxy || (of_subtree && command.subject.empty())) return {};
  const std::string fault = key_fault(word);
  return fault.empty() ? base::Status() : base::Error{fault};
}

base::Status take_second(const std::string& word, Command& command) {
  if (command.action == Action::kick) {
    const auto number = parse_number(word);
    if (!number) return base::Error{"CONNECTION: " + number.error()};
    command.connection = *number;
    return {};
  }
  command.value_from_stdin = word == "-";
  if (!command.value_from_stdin) command.value = word;
  return {};
}

base::Status take_order(const std::string& word, ClientOrder& order) {
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

base::Status take_duration(const po::variables_map& given, const char* option, base::Duration most,
                           base::Duration& target) {
  if (given.count(option) == 0) return {};
  const auto duration = parse_duration(text_of(given, option));
  if (!duration) return base::Error{"--" + std::string(option) + ": " + duration.error()};
  if (*duration > most) {
    return base::Error{"--" + std::string(option) + ": more than " + to_text(most)};
  }
  target = *duration;
  return {};
}

base::Status take_cluster(const po::variables_map& given, const Environment& environment,
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
  return base::Error{command.own_key.empty() ? "--server-key (CANOPY_SERVER_KEY) needs --key, too"
                                             : "--key (CANOPY_KEY) needs --server-key, too"};
}

base::Status take_options(const po::variables_map& given, Command& command) {
  command.directory = given.count("directory") == 0 ? "." : text_of(given, "directory");
  command.json = given.count("json") != 0;
  command.timeout = 5s;
  const base::Duration most_ttl = std::chrono::milliseconds(wire::native::max_ttl_ms);
  const base::Duration most_latest = std::chrono::milliseconds(wire::native::max_latest_ms);
  for (auto status : {take_duration(given, "timeout", 24h, command.timeout),
                      take_duration(given, "ttl", most_ttl, command.ttl),
                      take_duration(given, "latest", most_latest, command.latest)}) {
    if (!status) return status;
  }
  if (given.count("proxy") != 0) command.subject = text_of(given, "proxy");
  if (given.count("sort") != 0) {
    if (auto status = take_order(text_of(given, "sort"), command.order); !status) return status;
  }
  if (given.count("if-revision") != 0) {
    const auto number = parse_number(text_of(given, "if-revision"));
    if (!number) return base::Error{"--if-revision: " + number.error()};
    command.if_revision = keyspace::Revision(*number);
  }
  return {};
}

std::variant<Command, Parting> make_command(const Usage& usage, const po::variables_map& given,
                                            const std::vector<std::string>& arguments,
                                            const Environment& environment) {
  const std::vector<std::string> taken = options_of(usage);
  for (const auto& [option, value] : given) {
    if (option == "words" || std::ranges::find(taken, option) != taken.end()) continue;
    return wrong(usage.name + " takes no --" + option, &usage);
  }
  if (arguments.size() < usage.arguments.size()) {
    return wrong(usage.name + ": " + usage.arguments[arguments.size()] + " is missing", &usage);
  }
  if (arguments.size() > usage.arguments.size()) {
    return wrong(usage.name + ": '" + escaped(arguments[usage.arguments.size()]) + "' is too much",
                 &usage);
  }
  Command command{.action = usage.action};
  if (!arguments.empty()) {
    const auto status = take_subject(arguments[0], command);
    if (!status) return wrong(usage.name + ": " + status.error(), &usage);
  }
  if (arguments.size() == 2) {
    const auto status = take_second(arguments[1], command);
    if (!status) return wrong(usage.name + ": " + status.error(), &usage);
  }
  if (usage.connects) {
    const auto status = take_cluster(given, environment, command);
    if (!status) return wrong(status.error(), &usage);
  }
  const auto status = take_options(given, command);
  if (!status) return wrong(status.error(), &usage);
  return command;
}

}  // namespace

std::variant<Command, Parting> parse_command_line(const std::vector<std::string>& words,
                                                  const Environment& environment) {
  po::variables_map given;
  try {
    given = read_words(words);
  } catch (const po::unknown_option& fault) {
    return wrong(escaped(fault.what()) + "; -- ends the options");
  } catch (const po::error& fault) {
    return wrong(escaped(fault.what()));
  }
  if (given.count("version") != 0) return Parting{Exit::ok, "canopy " CANOPY_VERSION "\n"};
  std::vector<std::string> arguments;
  if (given.count("words") != 0) arguments = given["words"].as<std::vector<std::string>>();
  if (arguments.empty()) {
    return given.count("help") != 0 ? Parting{Exit::ok, help_text()} : wrong("COMMAND is missing");
  }
  const auto usage = std::ranges::find(usages, arguments.front(), &Usage::name);
  if (usage == usages.end()) return wrong("'" + escaped(arguments.front()) + "' is no command");
  if (given.count("help") != 0) return Parting{Exit::ok, help_text(*usage)};
  arguments.erase(arguments.begin());
  return make_command(*usage, given, arguments, environment);
}

}  // namespace canopy::client::cli
