// Every kind of mistake in a file, with the line and key that its error names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/text.h"
#include "core/config/cluster.h"
#include "core/config/reader.h"

namespace canopy::config {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Mistake {
  std::string label;
  std::string text;
  std::string start;  // FILE:LINE: KEY:
  std::string why;
};

std::string error_of(const std::string& text) {
  const auto cluster = parse_cluster(text, "c.yaml");
  return cluster ? "no error" : cluster.error();
}

const std::string shard = "shards: [{name: a, partitions: [{subtree: \"*\"}]}]\n";

std::string proxy(const std::string& settings) {
  return shard + "proxies:\n  - name: p\n    " + settings + "\n";
}
// `count` entries, each from its number.
template <typename Make>
std::string many(int count, Make make) {
  std::string text;
  for (int i = 0; i < count; ++i) text += make(std::to_string(i));
  return text;
}
std::string partitions(int count, const std::string& settings = "") {
  return "shards:\n  - name: a\n    partitions:\n" + many(count, [&](const std::string& i) {
           return "      - {subtree: /" + i + "/" + settings + "}\n";
         });
}
std::string partition(const std::string& settings) {
  return "shards:\n  - name: a\n    partitions:\n      - " + settings + "\n";
}
// The root, which these settings place on the shards a and b; the last line is of b.
std::string replicated(const std::string& settings) {
  return "partitions:\n  - subtree: \"*\"\n    " + settings +
         "\nshards:\n  - {name: a}\n  - name: b\n";
}

const std::vector<Mistake>& mistakes() {
  static const std::vector<Mistake> all = {
      // Unknown, missing, twice.
      {"unknown_top", shard + "brokers: {}\n", "c.yaml:2: brokers: ", "unknown key"},
      {"unknown_known", proxy("max_client: 3"), "c.yaml:4: proxies.max_client: ", "max_clients"},
      {"unknown_nested", partition("subtree: \"*\"\n        durable: true"),
       "c.yaml:5: shards.partitions.durable: ", "unknown key"},
      {"missing_shards", "log_level: info\n", "c.yaml:1: shards: ", "is missing"},
      {"empty_file", "", "c.yaml:1: shards: ", "is missing"},
      {"missing_name", shard + "proxies:\n  - max_clients: 3\n",
       "c.yaml:3: proxies.name: ", "is missing"},
      {"missing_partitions", "shards:\n  - name: a\n",
       "c.yaml:2: shards.partitions: ", "a shard needs at least one partition, and none is on 'a'"},
      {"empty_partitions", replicated("on: [a, b]") + "  - name: c\n    partitions: []\n",
       "c.yaml:7: shards.partitions: ", "none is on 'c'"},
      {"list_of_partitions", "shards:\n  - name: a\n    partitions: all\n",
       "c.yaml:3: shards.partitions: ", "'all' is not a list"},
      {"missing_subtree", partition("durability: disk"),
       "c.yaml:4: shards.partitions.subtree: ", "is missing"},
      {"key_twice", "log_level: info\n" + shard + "log_level: warn\n",
       "c.yaml:3: log_level: ", "also on line 1"},
      // Wrong types.
      {"number_text", proxy("max_clients: many"),
       "c.yaml:4: proxies.max_clients: ", "'many' is not a whole number"},
      {"number_quoted", proxy("max_clients: \"3\""),
       "c.yaml:4: proxies.max_clients: ", "not a whole number"},
      {"number_fraction", proxy("max_clients: 3.5"),
       "c.yaml:4: proxies.max_clients: ", "not a whole number"},
      {"number_unit", proxy("max_linger_ms: 3s"),
       "c.yaml:4: proxies.max_linger_ms: ", "not a whole number"},
      {"number_empty", proxy("max_clients:"),
       "c.yaml:4: proxies.max_clients: ", "nothing is not a whole number"},
      {"flag", "broker:\n  supervise: 1\n" + shard,
       "c.yaml:2: broker.supervise: ", "'1' is not true or false"},
      {"text_list", "state_dir: [a]\n" + shard, "c.yaml:1: state_dir: ", "a list is not a text"},
      {"text_empty", "state_dir: \"\"\n" + shard, "c.yaml:1: state_dir: ", "not a path"},
      {"section_text", "broker: yes\n" + shard, "c.yaml:1: broker: ", "'yes' is not a section"},
      {"list_map", shard + "proxies: {name: p}\n", "c.yaml:2: proxies: ", "not a list"},
      {"item_text", shard + "proxies:\n  - p\n", "c.yaml:3: proxies: ", "'p' is not a section"},
      {"top_list", "- a\n", "c.yaml:1: ", "a list is not a section"},
      {"key_list", shard + "[a]: b\n", "c.yaml:2: ?: ", "a key must be a word"},
      {"number_octal", proxy("nofile: 01024"), "c.yaml:4: proxies.nofile: ", "begins with 0"},
      {"number_hex", proxy("nofile: 0x400"),
       "c.yaml:4: proxies.nofile: ", "'0x400' is not a whole number"},
      {"flag_yes", partition("subtree: \"*\"\n        retain: yes"),
       "c.yaml:5: shards.partitions.retain: ", "'yes' is not true or false"},
      {"flag_null", partition("subtree: \"*\"\n        retain: ~"),
       "c.yaml:5: shards.partitions.retain: ", "nothing is not true or false"},
      {"several_lines", "log_level: \"in\\nfo\"\n" + shard,
       "c.yaml:1: log_level: ", "'in\\x0afo' is none of"},
      {"key_of_several_lines", "\"a\\nb\": 1\n" + shard, "c.yaml:1: a\\x0ab: ", "unknown key"},
      {"very_long", "log_level: " + std::string(100'000, 'x') + "\n" + shard,
       "c.yaml:1: log_level: 'xxx", "x…' is none of"},
      {"no_utf8", "state_dir: caf\xe9\n" + shard, "c.yaml:1: state_dir: ", "not UTF-8"},
      {"no_utf8_key", "caf\xe9: 1\n" + shard, "c.yaml:1: ", "a key must be a word"},
      {"merge_text", shard + "proxies:\n  - <<: x\n    name: p\n",
       "c.yaml:3: proxies.<<: ", "'x' is not a section to take over"},
      {"merge_quoted", shard + "proxies:\n  - \"<<\": {nofile: 4096}\n    name: p\n",
       "c.yaml:3: proxies.<<: ", "unknown key"},
      {"merge_of_itself", shard + "proxies:\n  - &p {name: p, <<: *p}\n", "c.yaml:3: proxies.<<",
       "too many sections inside one another"},
      {"merge_unknown", shard + "x-base: &b {no: 1}\nproxies:\n  - <<: *b\n    name: p\n",
       "c.yaml:2: proxies.no: ", "unknown key"},
      {"state_dir_tilde", "state_dir: ~/canopy\n" + shard, "c.yaml:1: state_dir: ", "a shell"},
      {"state_dir_zero_byte", "state_dir: \"a\\0b\"\n" + shard,
       "c.yaml:1: state_dir: ", "control character"},
      {"state_dir_part", "state_dir: /" + std::string(256, 'x') + "\n" + shard,
       "c.yaml:1: state_dir: ", "a part of more than 255 bytes"},
      {"state_dir_long",
       "state_dir: " + many(2000, [](const std::string&) { return "x/"; }) + "\n" + shard,
       "c.yaml:1: state_dir: ", "longer than 3000 bytes"},
      // Out of bounds: refused, never clipped.
      {"bounds_low", proxy("max_clients: 0"), "c.yaml:4: proxies.max_clients: ",
       "0 is out of bounds: 1 to 1048576 (clients connected at once)"},
      {"bounds_high", proxy("max_linger_ms: 10001"),
       "c.yaml:4: proxies.max_linger_ms: ", "10001 is out of bounds: 0 to 10000"},
      {"bounds_negative", proxy("nofile: -1"), "c.yaml:4: proxies.nofile: ", "out of bounds"},
      {"bounds_huge", proxy("nofile: 99999999999999999999"),
       "c.yaml:4: proxies.nofile: ", "99999999999999999999 is out of bounds"},
      {"choice", partition("subtree: \"*\"\n        durability: ssd"),
       "c.yaml:5: shards.partitions.durability: ", "'ssd' is none of memory, disk"},
      {"log_level", "log_level: loud\n" + shard,
       "c.yaml:1: log_level: ", "'loud' is none of debug, info, warn, error"},
      {"slow_clients", proxy("slow_clients: wait"),
       "c.yaml:4: proxies.slow_clients: ", "'wait' is none of drop, disconnect"},
      {"client_queue", proxy("client_queue_bytes: 4194303"),
       "c.yaml:4: proxies.client_queue_bytes: ", "4194304"},
      {"egress", proxy("egress_bytes: 0"), "c.yaml:4: proxies.egress_bytes: ", "4194304"},
      // Names.
      {"name_upper", "shards:\n  - name: A\n", "c.yaml:2: shards.name: ", "'A' is not 1 to 63"},
      {"name_long", "shards:\n  - name: " + std::string(64, 'a') + "\n",
       "c.yaml:2: shards.name: ", "is not 1 to 63"},
      {"name_path", "shards:\n  - name: ../x\n", "c.yaml:2: shards.name: ", "'../x' is not"},
      {"name_twice", shard + "proxies:\n  - name: a\n", "c.yaml:3: proxies.name: ",
       "the name 'a' clashes with the name 'a' of shards.name on line 1"},
      {"name_broker", shard + "proxies:\n  - name: broker\n",
       "c.yaml:3: proxies.name: ", "of broker.name, its default"},
      {"name_template_long", shard + "proxies:\n  - name: " + std::string(63, 'p') + "*\n",
       "c.yaml:3: proxies.name: ", "leaves no room"},
      {"processes",
       "shards: [{name: a, partitions: [{subtree: \"*\"}]}]\nproxies:\n" +
           many(1024, [](const std::string& i) { return "  - {name: p" + i + "}\n"; }),
       "c.yaml:1026: proxies.name: ", "at most 1024"},
      // Partitions.
      {"partitions", partitions(4097), "c.yaml:4100: shards.partitions.subtree: ", "at most 4096"},
      {"no_root", partition("subtree: /results/"), "c.yaml:1: shards: ", "the root must be owned"},
      {"subtree_slash", partition("subtree: /results"), "c.yaml:4: shards.partitions.subtree: ",
       "'/results' is not a subtree: it must end with '/'"},
      {"subtree_empty", partition("subtree: \"\""),
       "c.yaml:4: shards.partitions.subtree: ", "\"*\""},
      {"subtree_nothing", partition("subtree:"), "c.yaml:4: shards.partitions.subtree: ", "\"*\""},
      {"subtree_long", partition("subtree: /" + std::string(255, 'x') + "/"),
       "c.yaml:4: shards.partitions.subtree: ", "longer than 255 bytes"},
      {"subtree_twice", partition("subtree: /a/\n      - subtree: \"*\"\n      - subtree: /a/"),
       "c.yaml:6: shards.partitions.subtree: ",
       "the subtree '/a/' clashes with the subtree '/a/' of shards.partitions.subtree on line 4"},
      {"root_twice",
       shard.substr(0, shard.size() - 2) + ",\n  {name: b, partitions: [{subtree: \"*\"}]}]\n",
       "c.yaml:2: shards.partitions.subtree: ", "the subtree '*' clashes"},
      {"subtree_in_both_places", "partitions:\n  - {subtree: \"*\", on: [a]}\n" + shard,
       "c.yaml:3: shards.partitions.subtree: ",
       "the subtree '*' clashes with the subtree '*' of partitions.subtree on line 2"},
      {"no_root_of_replicas", "partitions:\n  - {subtree: /a/, on: [a]}\nshards:\n  - {name: a}\n",
       "c.yaml:3: shards: ", "the root must be owned"},
      // Replicas.
      {"on_unknown", replicated("on: [a, c]"),
       "c.yaml:3: partitions.on: ", "'c' is not a shard; the shards of the file: a, b"},
      {"on_unknown_by_line", replicated("on:\n      - a\n      - c"),
       "c.yaml:5: partitions.on: ", "'c' is not a shard"},
      {"on_proxy", replicated("on: [a, p]") + "proxies: [{name: p}]\n",
       "c.yaml:3: partitions.on: ", "'p' is not a shard"},
      {"on_twice", replicated("on: [a, b, a]"),
       "c.yaml:3: partitions.on: ", "the shard 'a' is named twice"},
      {"on_empty", replicated("on: []"), "c.yaml:3: partitions.on: ", "names no shard"},
      {"on_word", replicated("on: a"), "c.yaml:3: partitions.on: ", "'a' is not a list"},
      {"on_upper", replicated("on: [A]"), "c.yaml:3: partitions.on: ", "'A' is not 1 to 63"},
      {"on_list", replicated("on: [[a]]"), "c.yaml:3: partitions.on: ", "a list is not a text"},
      {"on_too_many", replicated("on: [a, b, c, d, e, f, g, h]"),
       "c.yaml:3: partitions.on: ", "at most 7 replicas"},
      {"on_missing", replicated("retain: false"),
       "c.yaml:2: partitions.on: ", "is missing: name the shards that keep a replica of *"},
      {"replicas_too_many", replicated("replicas: 8"),
       "c.yaml:3: partitions.replicas: ", "8 is out of bounds: 1 to 7"},
      {"replicas_none", replicated("replicas: 0"),
       "c.yaml:3: partitions.replicas: ", "0 is out of bounds: 1 to 7"},
      {"replicas_of_too_few_shards", replicated("replicas: 3"), "c.yaml:3: partitions.replicas: ",
       "3 replicas of * need as many shards; the shards of the file: a, b"},
      {"replicas_after_on", replicated("on: [a, b]\n    replicas: 1"),
       "c.yaml:4: partitions.replicas: ", "`on` names 2 shards and `replicas` is 1"},
      {"replicas_before_on", replicated("replicas: 3\n    on: [a, b]"),
       "c.yaml:4: partitions.on: ", "`on` names 2 shards and `replicas` is 3"},
      {"min_in_sync", replicated("on: [a, b]\n    min_in_sync: 3"),
       "c.yaml:4: partitions.min_in_sync: ", "3 is more than the replicas of *, 2"},
      {"min_in_sync_before_replicas", replicated("min_in_sync: 2\n    replicas: 1"),
       "c.yaml:3: partitions.min_in_sync: ", "2 is more than the replicas of *, 1"},
      {"min_in_sync_none", replicated("on: [a]\n    min_in_sync: 0"),
       "c.yaml:4: partitions.min_in_sync: ", "0 is out of bounds: 1 to 7"},
      {"replicas_in_the_short_form", partition("subtree: \"*\"\n        replicas: 1"),
       "c.yaml:5: shards.partitions.replicas: ", "unknown key"},
      // Endpoints.
      {"endpoint_scheme", "broker:\n  listen: udp://127.0.0.1:1\n" + shard,
       "c.yaml:2: broker.listen: ", "tcp://HOST:PORT or ipc://PATH"},
      {"endpoint_port", "broker:\n  listen: tcp://127.0.0.1\n" + shard,
       "c.yaml:2: broker.listen: ", "'tcp://127.0.0.1'"},
      {"endpoint_port_high", "broker:\n  listen: tcp://127.0.0.1:65536\n" + shard,
       "c.yaml:2: broker.listen: ", "1 to 65535"},
      {"endpoint_host", "broker:\n  listen: tcp://:5550\n" + shard,
       "c.yaml:2: broker.listen: ", "valid host"},
      {"listen_free_port", "broker:\n  listen: tcp://127.0.0.1:*\n" + shard,
       "c.yaml:2: broker.listen: ", "must be fixed"},
      {"ipc_empty", "broker:\n  listen: ipc://\n" + shard,
       "c.yaml:2: broker.listen: ", "lacks a path"},
      {"ipc_long", "broker:\n  listen: ipc://" + std::string(108, 'x') + "\n" + shard,
       "c.yaml:2: broker.listen: ", "longer than 107"},
      {"ipc_folder", "broker:\n  listen: ipc:///run/canopy/\n" + shard,
       "c.yaml:2: broker.listen: ", "names a folder"},
      {"ipc_control", "broker:\n  listen: \"ipc:///run/a\\tb\"\n" + shard,
       "c.yaml:2: broker.listen: ", "control character"},
      {"ipc_spelled_otherwise",
       "broker:\n  listen: ipc:///run/a\nshards:\n  - name: a\n    updates: ipc:///run/./a\n"
       "    partitions: [{subtree: \"*\"}]\n",
       "c.yaml:5: shards.updates: ", "clashes with ipc:///run/a"},
      {"ipv4_none", "broker:\n  listen: tcp://127.0.0.256:5550\n" + shard,
       "c.yaml:2: broker.listen: ", "lacks a valid host"},
      {"ipv4_short", proxy("http: \"10.1:80\""), "c.yaml:4: proxies.http: ", "lacks a valid host"},
      {"ipv6_none", "broker:\n  listen: tcp://[::g]:5550\n" + shard,
       "c.yaml:2: broker.listen: ", "lacks a valid host"},
      {"ipv6_bare", "broker:\n  listen: tcp://::1:5550\n" + shard,
       "c.yaml:2: broker.listen: ", "IPv6 in brackets"},
      {"ipv6_zone_of_http", proxy("http: \"[fe80::1%eth0]:80\""),
       "c.yaml:4: proxies.http: ", "zone"},
      {"host_long", proxy("http: " + std::string(254, 'h') + ":80"),
       "c.yaml:4: proxies.http: ", "lacks a valid host"},
      {"broker_anywhere", "broker:\n  supervise: false\n  listen: tcp://0.0.0.0:5550\n" + shard,
       "c.yaml:3: broker.listen: ", "need `advertise`"},
      {"broker_anywhere_ipv6", "broker:\n  supervise: false\n  listen: tcp://[0::0]:5550\n" + shard,
       "c.yaml:3: broker.listen: ", "need `advertise`"},
      {"triple_ipc", proxy("kvmsg: ipc:///run/p"), "c.yaml:4: proxies.kvmsg: ", "must be tcp"},
      {"triple_free_port", proxy("chp: tcp://127.0.0.1:*"),
       "c.yaml:4: proxies.chp: ", "needs a port number"},
      {"triple_last_port", proxy("kvsimple: tcp://127.0.0.1:65534"),
       "c.yaml:4: proxies.kvsimple: ", "no room"},
      {"http_scheme", proxy("http: http://127.0.0.1:80"), "c.yaml:4: proxies.http: ", "HOST:PORT"},
      {"http_port", proxy("http: 127.0.0.1"), "c.yaml:4: proxies.http: ", "is not HOST:PORT"},
      {"advertise_port", proxy("advertise: example.com:80"),
       "c.yaml:4: proxies.advertise: ", "no host"},
      {"advertise_any", proxy("advertise: 0.0.0.0"), "c.yaml:4: proxies.advertise: ", "no host"},
      // Ports.
      {"triple_overlap", proxy("kvsimple: tcp://127.0.0.1:5556\n    kvmsg: tcp://127.0.0.1:5558"),
       "c.yaml:5: proxies.kvmsg: ",
       "tcp://127.0.0.1:5558 (ports 5558 to 5560) clashes with tcp://127.0.0.1:5556 (ports 5556 to "
       "5558) of proxies.kvsimple on line 4"},
      {"http_in_triple", proxy("kvsimple: tcp://127.0.0.1:5556\n    http: 127.0.0.1:5557"),
       "c.yaml:5: proxies.http: ", "127.0.0.1:5557 clashes with tcp://127.0.0.1:5556"},
      {"default_clash", proxy("http: 127.0.0.1:8550"),
       "c.yaml:4: proxies.http: ", "clashes with 127.0.0.1:8550 of broker.http, its default"},
      {"any_host", proxy("http: 0.0.0.0:5550"),
       "c.yaml:4: proxies.http: ", "clashes with tcp://127.0.0.1:5550"},
      {"star_host", proxy("chp: tcp://*:5549"),
       "c.yaml:4: proxies.chp: ", "clashes with tcp://127.0.0.1:5550"},
      {"localhost", proxy("http: localhost:5550"), "c.yaml:4: proxies.http: ", "clashes"},
      {"interface", proxy("http: lo:5550"), "c.yaml:4: proxies.http: ", "clashes"},
      {"later_line",
       "proxies: [{name: p, http: \"127.0.0.1:81\"}]\n" + shard + "broker:\n  http: 127.0.0.1:81\n",
       "c.yaml:4: broker.http: ", "of proxies.http on line 1"},
      {"ipc_twice",
       "broker:\n  listen: ipc://a\nshards:\n  - name: a\n    updates: ipc://a\n"
       "    partitions: [{subtree: \"*\"}]\n",
       "c.yaml:5: shards.updates: ", "ipc://a clashes with ipc://a of broker.listen on line 2"},
      {"any_ipv6_host", proxy("http: \"[::]:5550\""),
       "c.yaml:4: proxies.http: ", "clashes with tcp://127.0.0.1:5550"},
      {"ipv6_spelled_otherwise",
       proxy("kvsimple: tcp://[::1]:6000\n    http: \"[0:0:0:0:0:0:0:1]:6002\""),
       "c.yaml:5: proxies.http: ", "clashes with tcp://[::1]:6000"},
      // Open files.
      {"nofile_clients", proxy("max_clients: 850\n    nofile: 900"),
       "c.yaml:5: proxies.nofile: ", "900 open files are too few for 'p': 850 clients"},
      {"nofile_clone_clients",
       proxy("max_clients: 300\n    nofile: 900\n    chp: tcp://127.0.0.1:5556"),
       "c.yaml:5: proxies.nofile: ", "900 open files are too few for 'p': 300 clients"},
      {"nofile_default", proxy("max_clients: 1000"), "c.yaml:3: proxies.nofile: ", "raise nofile"},
      {"nofile_shard", "shards:\n  - name: a\n    nofile: 10\n    partitions: [{subtree: \"*\"}]\n",
       "c.yaml:3: shards.nofile: ", "10 open files are too few"},
      {"nofile_replicas", replicated("on: [a, b]") + "    nofile: 27\n",
       "c.yaml:7: shards.nofile: ",
       "0 partitions on disk, replicas shared with 1 shards and 0 proxies take up to 28"},
      {"nofile_store",
       "shards:\n  - name: a\n    nofile: 185\n"
       "    partitions: [{subtree: \"*\", durability: disk}]\n",
       "c.yaml:3: shards.nofile: ", "1 partitions on disk and 0 proxies take up to 186"},
      // Not YAML.
      {"yaml_flow", "log_level: info\nbroker: {listen: a\n", "c.yaml:3: ", "not valid YAML"},
      {"yaml_tab", "broker:\n\tname: a\n", "c.yaml:2: ", "not valid YAML"},
      {"yaml_star", partition("subtree: *"), "c.yaml:4: ", "write \"*\", in quotes"},
      {"yaml_two", shard + "---\n" + shard, "c.yaml:2: ", "second YAML document"},
      {"yaml_rest", "{log_level: info}\nbroker: {}\n", "c.yaml:2: ", "second YAML document"},
  };
  return all;
}

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreNamedByLineAndKey) {
  const std::string error = error_of(GetParam().text);
  EXPECT_THAT(error, StartsWith(GetParam().start)) << GetParam().text;
  EXPECT_THAT(error, HasSubstr(GetParam().why)) << GetParam().text;
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, ::testing::ValuesIn(mistakes()),
                         [](const auto& mistake) { return mistake.param.label; });

}  // namespace
}  // namespace canopy::config
