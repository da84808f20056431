#include "client/cli/usage.h"

#include <algorithm>
#include <sstream>

namespace canopy::client::cli {

namespace po = boost::program_options;

namespace {

const std::vector<std::string> options_of_all = {"help", "version"};
const std::vector<std::string> options_to_connect = {"broker", "timeout", "key", "server-key"};

std::string synopsis(const Usage& usage) {
  std::string text = usage.name;
  for (const std::string& argument : usage.arguments) text += " " + argument;
  return text;
}

}  // namespace

const std::vector<Option> options = {
    {"ttl", "DURATION", "the key expires after this time"},
    {"if-revision", "N", "only if the key has this revision; 0: only if there is no such key"},
    {"subtree", "", "delete every key of a subtree"},
    {"keys", "", "print keys only"},
    {"limit", "N", "print at most N keys"},
    {"latest", "DURATION", "only the latest value of each key, this often (up to 60s)"},
    {"verbose", "", "print key, revision, expiry, properties and value", "v"},
    {"json", "", "print JSON instead of text"},
    {"count", "N", "end after N probes"},
    {"interval", "DURATION", "time between two probes (1s)"},
    {"write", "KEY", "also write this key in each probe"},
    {"proxy", "PROXY", "only this proxy"},
    {"sort", "ORDER", "queue (longest first), missed, age, name or connection"},
    {"accept-loss", "", "without it `elect` only prints what may be lost"},
    {"directory", "DIR", "where to write the files (.)"},
    {"broker", "ENDPOINT[,...]", "the cluster (CANOPY_BROKER, or tcp://127.0.0.1:5550)"},
    {"timeout", "DURATION", "how long to wait for an answer (5s)"},
    {"key", "FILE", "your own NAME.key_secret, if the cluster has `security` (CANOPY_KEY)"},
    {"server-key", "FILE|KEY", "the public key of the cluster then (CANOPY_SERVER_KEY)"},
    {"help", "", "print this text and exit", "h"},
    {"version", "", "print the version and exit"},
};

const std::vector<Usage> usages = {
    {Action::put,
     "put",
     {"KEY", "VALUE"},
     {"ttl", "if-revision"},
     "sets a key and prints its new revision",
     R"(With VALUE - the value is read from standard input, up to its end. Put -- before a KEY or
VALUE that begins with '-'. The value may be empty: the key then exists. Clients of the Clone
pattern see an empty value as a deletion. When the key has another revision than
--if-revision, the exit code is 3.
)"},
    {Action::get,
     "get",
     {"KEY"},
     {"verbose", "json"},
     "prints the value of a key",
     R"(Prints the bytes of the value. On a terminal a line feed follows. Without such a key the exit
code is 1. A KEY that ends with '/' is one key; list prints a subtree.
)"},
    {Action::erase,
     "delete",
     {"KEY"},
     {"if-revision", "subtree"},
     "deletes a key and prints the revision of the deletion",
     R"(Deletes one key, and no key below it. A key that does not exist is no error. When the key has
another revision than --if-revision, the exit code is 3.

With --subtree, KEY is a SUBTREE: every key that exists when the command begins is deleted, one
request per key, many at once. Prints the number of keys. A key that another client creates
meanwhile stays; one that it changes meanwhile is deleted. After a failure no further request
begins.
)"},
    {Action::list,
     "list",
     {"SUBTREE"},
     {"keys", "limit", "json"},
     "prints the keys of a subtree: key, revision, value",
     R"(One line per key, sorted, with tabs between the columns. \n, \t, \\ and \xNN stand for bytes
that do not fit in a line of text. --json prints the lines of `canopy export`. When the subtree
has more keys than --limit, the cluster chooses which ones are printed.
)"},
    {Action::watch,
     "watch",
     {"SUBTREE"},
     {"latest", "json"},
     "prints the keys of a subtree, then every change",
     R"(One line per event, with tabs between the columns, escaped like the lines of list:
  PUT key revision value      DEL key revision
  GAP n                       n updates were missed (?: unknown); a RESYNC follows
  RESYNC changes|full         every missed update has been printed
As JSON: {"type","key","revision","value"}, {"type","updates"}, {"type","how"}. Bytes that are
not UTF-8 are in "key_base64" and "value_base64". Revisions are strings. Ends with exit code 0
by Ctrl-C or TERM, and by SIGPIPE when the reader of its output closes it.
)"},
    {Action::list,
     "export",
     {"SUBTREE"},
     {},
     "prints the entries of a subtree as JSON lines",
     R"(One line per key, sorted: {"key","revision","value","properties","ttl_ms"}. "properties" and
"ttl_ms", the time left, are there only if the entry has them. Bytes that are not UTF-8 are in
"key_base64", "value_base64" and "properties_base64". `canopy import` reads these lines.
)"},
    {Action::import_,
     "import",
     {},
     {},
     "writes the entries that export printed",
     R"(Reads the lines of `canopy export` from standard input and puts each entry, with its properties
and ttl_ms. "revision" is ignored. Sends many requests at once and prints the number of entries
written. A line that is not such an entry ends the import: its number is printed, no later line
is written, and the exit code is 2.
)"},
    {Action::apply,
     "apply",
     {},
     {},
     "applies a batch of writes, together or not at all",
     R"(Reads one write per line from standard input:
  {"put":KEY,"value":TEXT,"properties":TEXT,"ttl_ms":N,"if_revision":N}
  {"delete":KEY,"if_revision":N}
Only KEY and "value" are required. Bytes that are not UTF-8 go in "put_base64",
"delete_base64", "value_base64" and "properties_base64". A batch has up to 1024 writes and 4
MiB, and its keys belong to one partition. Prints the revision of the last write. A bad line
names its number, and nothing is applied.
)"},
    {Action::ping,
     "ping",
     {},
     {"count", "interval", "write", "proxy"},
     "measures the latency to a proxy",
     R"(Sends one request per interval to a proxy and prints the time until its reply; with --write also
the time until a write of KEY is acknowledged. The value written is the probe's number. Ends
after --count probes or by Ctrl-C, and prints minimum, median, 99th percentile and maximum.
The exit code is 4 when a probe was lost.
)"},
    {Action::status,
     "status",
     {},
     {"json"},
     "prints the state of every shard, proxy and partition",
     "When one of them is not well, the exit code is 1.\n"},
    {Action::clients,
     "clients",
     {},
     {"proxy", "sort", "json"},
     "prints the connections of the proxies' clients",
     R"(One line per connection: bytes queued, updates missed, catch-ups and subscriptions. A Clone
client has one connection for each of its sockets. A proxy that does not answer, or has no
`native` endpoint, is named on standard error, and the exit code is 1. With `security` only an
admin may ask.
)"},
    {Action::kick,
     "kick",
     {"PROXY", "CONNECTION"},
     {},
     "ends a connection",
     R"(CONNECTION is a number that `canopy clients` prints for this proxy. The client may connect again;
a native client does so at once. With `security` only an admin may kick.
)"},
    {Action::drain,
     "drain",
     {"PROXY"},
     {},
     "moves the clients of a proxy elsewhere and stops it",
     "Returns at once. The broker does not start the proxy again.\n"},
    {Action::reload,
     "reload",
     {},
     {},
     "makes the cluster read its file again",
     R"(Prints the settings that changed, one per line. When the file is wrong, or a change needs a
restart, nothing changes and the exit code is 3. Send a HUP signal to each process that the
broker does not supervise.
)"},
    {Action::elect,
     "elect",
     {"SUBTREE", "SHARD"},
     {"accept-loss"},
     "makes a shard lead a partition with the data it has",
     R"(For a partition that waits because every replica with all committed updates is lost. Updates that
SHARD lacks are then lost for good, even if those replicas come back. Waits until the partition
is served. When the partition does not wait at SHARD, nothing changes and the exit code is 3.
With `security` only an admin may elect.
)"},
    {Action::backup,
     "backup",
     {"SHARD", "NAME"},
     {},
     "makes a shard write a backup of its store",
     R"(The shard serves meanwhile. Prints the directory once it is on disk: backups/NAME in the shard's
directory, on the shard's host. Partitions in memory are not part of it. A name that exists is
refused. `canopy-shard --config FILE --name SHARD --restore BACKUP` restores it to a stopped
shard. With `security` only an admin may back up.
)"},
    {Action::move,
     "move",
     {"SUBTREE", "SHARD[,...]"},
     {},
     "moves a partition to other shards",
     R"(These shards then hold the replicas, the preferred leader first, whatever `on` says in the file.
Returns once the directory has the order. The shards carry it out while writes and watches go
on; `canopy status` shows their progress. With `security` only an admin may move.
)"},
    {Action::split,
     "split",
     {"SUBTREE"},
     {},
     "makes a subtree a partition of its own",
     R"(The new partition inherits settings and shards of the one it is split from; `canopy move` may
place it elsewhere afterwards. Returns once the directory has the order. The leader carries it
out while writes and watches go on; `canopy status` shows the new partition. With `security`
only an admin may split.
)"},
    {Action::keygen,
     "keygen",
     {"NAME"},
     {"directory"},
     "makes a key pair for the cluster or a client",
     R"(Writes NAME.key_secret, which only its owner can read, and NAME.key, which is public. Overwrites
neither. Needs no cluster.
)",
     false},
    {Action::completion,
     "completion",
     {"SHELL"},
     {},
     "prints the completion script of a shell",
     R"(SHELL is bash, zsh or fish. For bash: source <(canopy completion bash). The Debian package
installs all three. Needs no cluster.
)",
     false},
};

po::options_description describe(const char* title, const std::vector<std::string>& names) {
  po::options_description described(title, 100);
  for (const Option& option : options) {
    if (std::ranges::find(names, option.name) == names.end()) continue;
    const std::string name =
        option.name + (option.short_name.empty() ? "" : "," + option.short_name);
    if (option.placeholder.empty()) {
      described.add_options()(name.c_str(), option.help.c_str());
    } else {
      const auto value = po::value<std::string>()->value_name(option.placeholder);
      described.add_options()(name.c_str(), value, option.help.c_str());
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
  text << R"(
A SUBTREE is a prefix that ends with '/', a single key, or * for everything. Durations are such
as 500ms, 5s or 2m. `canopy COMMAND --help` describes a command.

)" << describe("Options", common)
       << R"(
Exit codes: 0 done; 1 no such key, or a process is not well; 2 wrong usage or input line;
3 refused by the cluster; 4 no answer in time; 5 standard input or output, or a key file, failed.
)";
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
