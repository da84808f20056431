#include "client/cli/usage.h"

#include <algorithm>
#include <sstream>

namespace canopy::client::cli {

namespace po = boost::program_options;

namespace {

struct Option {
  const char* name;         // "proxy,p": with its short form
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
    {"accept-loss", nullptr, "without it nothing is done, but said what may be lost"},
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

std::string synopsis(const Usage& usage) {
  std::string text = usage.name;
  for (const std::string& argument : usage.arguments) text += " " + argument;
  return text;
}

}  // namespace

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
    {Action::elect,
     "elect",
     {"SUBTREE", "SHARD"},
     {"accept-loss"},
     "has a shard lead a partition with what it has",
     "The way out when a partition waits because every replica that has all that was committed is\n"
     "lost. What SHARD lacks is then lost for good, even if those replicas come back. Waits until\n"
     "the partition is served. A partition that does not wait at SHARD is left alone, with the "
     "exit\n"
     "code 3. With `security` only an admin may.\n"},
    {Action::backup,
     "backup",
     {"SHARD", "NAME"},
     {},
     "has a shard write a backup of its store",
     "The shard goes on meanwhile. Prints the directory once it is on disk: backups/NAME in the\n"
     "shard's own directory, on the shard's host. Partitions in memory are not in it. A name that "
     "is\n"
     "taken is refused. `canopy-shard --config FILE --name SHARD --restore BACKUP` makes a backup "
     "the\n"
     "store of a shard that is stopped. With `security` only an admin may.\n"},
    {Action::move,
     "move",
     {"SUBTREE", "SHARD[,...]"},
     {},
     "has other shards keep a partition",
     "The partition is then kept by these shards, the preferred leader first, whatever `on` says "
     "in\n"
     "the file. Returns once that is certain. The shards carry it out while writes and watches go\n"
     "on; `canopy status` shows how far they are. With `security` only an admin may.\n"},
    {Action::split,
     "split",
     {"SUBTREE"},
     {},
     "makes a subtree a partition of its own",
     "It is taken out of the partition that owns it, and inherits the settings and the shards of\n"
     "that; `canopy move` may place it elsewhere afterwards. Returns once the order is certain. "
     "The\n"
     "leader carries it out while writes and watches go on; `canopy status` shows the new "
     "partition.\n"
     "With `security` only an admin may.\n"},
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

}  // namespace canopy::client::cli
