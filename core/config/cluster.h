// The one YAML file that describes a cluster; every program reads the same one.
//
// deploy/canopy.example.yaml holds every setting with its default. An unknown key, a wrong type, a
// value out of bounds, overlapping partitions or clashing addresses are errors that name file,
// line and key; values are refused, never clipped.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/access/keys.h"
#include "core/access/permissions.h"
#include "core/base/endpoint.h"
#include "core/base/result.h"

namespace canopy::config {

using std::chrono::milliseconds;

enum class Durability { memory, disk };
enum class Sync { always, interval };
// The treatment of a Clone client whose queue is full: it misses updates, or is disconnected.
enum class SlowClients { drop, disconnect };

// A ZeroMQ endpoint of one of the cluster's sockets, such as "tcp://127.0.0.1:5550". A port of `*`
// takes any free one, which the process then announces in the directory.
using Endpoint = std::string;

// "HOST:PORT" of a process's HTTP side (/metrics, /livez, /readyz); port 0 takes any free one.
using HttpAddress = std::string;

// `advertise: auto`: the address of the machine that the process runs on.
inline constexpr const char* auto_advertise = "auto";

struct Partition {
  std::string subtree = {};  // "" is the root (written `*`)
  // The shards that keep a replica, the preferred leader first; at least one, each once.
  std::vector<std::string> on = {};
  std::uint64_t min_in_sync = 1;  // with fewer replicas in sync, writes are refused
  Durability durability = Durability::memory;
  Sync sync = Sync::always;
  milliseconds sync_interval{100};      // `sync: interval`: the most that can be lost
  bool retain = true;                   // false: ordered and fanned out, not kept
  std::uint64_t log_updates = 100'000;  // update log, for replays
  std::uint64_t log_bytes = 16ull << 20;
  std::uint64_t max_state_bytes = 4ull << 30;  // of entries on disk

  bool operator==(const Partition&) const = default;
};

struct Shard {
  std::string name = {};
  Endpoint requests = "tcp://127.0.0.1:*";  // ROUTER: writes, replays, snapshots
  Endpoint updates = "tcp://127.0.0.1:*";   // PUB: batches
  std::string advertise = {};               // host that others connect to; empty: as bound
  HttpAddress http = "127.0.0.1:0";
  std::uint64_t nofile = 1024;  // descriptors (RLIMIT_NOFILE); 0 leaves the limit alone
  // Bytes of batches queued per proxy before it misses some.
  std::uint64_t updates_queue_bytes = 64ull << 20;
  int updates_send_buffer = -1;  // kernel buffer per proxy in bytes; -1 kernel default

  bool operator==(const Shard&) const = default;
};

struct Proxy {
  std::string name = {};
  std::uint64_t max_clients = 300;
  std::optional<Endpoint> native = {};  // absent: not served
  // First of three consecutive ports: snapshot, updates, collector. Absent: dialect not served.
  std::optional<Endpoint> kvsimple = {};
  std::optional<Endpoint> kvmsg = {};
  std::optional<Endpoint> chp = {};
  std::string advertise = {};  // host that clients connect to; empty: as bound
  HttpAddress http = "127.0.0.1:0";
  std::uint64_t nofile = 1024;
  milliseconds max_linger{12};  // latency that gathering may add; 0 sends every update at once
  int publish_share = 3;        // percent of a core that the flush interval aims at
  // Bytes queued for one client before it misses updates, and for all clients together.
  std::uint64_t client_queue_bytes = 8ull << 20;
  std::uint64_t egress_bytes = 512ull << 20;
  SlowClients slow_clients = SlowClients::drop;
  int client_send_buffer = -1;   // kernel buffer per connection of a client; -1 kernel default
  bool proxy_protocol = false;   // a load balancer sends the clients' addresses (PROXY protocol)
  int link_receive_buffer = -1;  // kernel buffer per shard in bytes; -1 kernel default
  std::uint64_t link_queue_bytes = 16ull << 20;      // batches read from a shard in one turn
  std::uint64_t upstream_queue_bytes = 64ull << 20;  // writes that wait for a shard
  std::uint64_t max_snapshots = 64;                  // snapshots sent to clients at the same time
  milliseconds mirror_keep{60'000};                  // how long an unused partition stays mirrored

  bool operator==(const Proxy&) const = default;
};

struct Broker {
  std::string name = "broker";
  Endpoint listen = "tcp://127.0.0.1:5550";  // ROUTER: the directory
  std::string advertise = {};                // host that others connect to; empty: as bound
  HttpAddress http = "127.0.0.1:8550";
  bool supervise = true;     // start and keep up the processes of this machine
  milliseconds drain{5000};  // time that a stopping process has before it is killed

  Endpoint directory() const;  // where others find it

  bool operator==(const Broker&) const = default;
};

// Where a cluster of several machines keeps its directory. Paths are relative to the working
// directory.
struct Etcd {
  std::vector<std::string> endpoints = {};  // "http://HOST:PORT" or https, of the members of etcd
  std::string prefix = "canopy/main";       // of all keys of this cluster
  std::string user = {};                    // empty: without authentication
  std::string password_file = {};           // its first line; read for each log-in
  // PEM files for https: the authority of etcd's certificate (empty: those of the system), and the
  // certificate and key of Canopy.
  std::string ca_file = {};
  std::string cert_file = {};
  std::string key_file = {};

  bool operator==(const Etcd&) const = default;
};

struct Coordination {
  std::optional<Etcd> etcd = {};      // absent: the broker coordinates
  milliseconds lease{3000};           // a process that sends nothing for longer counts as dead
  milliseconds replica_lag{2000};     // a replica behind for longer leaves the in-sync set
  milliseconds prefer_after{10'000};  // in sync for so long, the preferred replica leads again

  bool operator==(const Coordination&) const = default;
};

// With it every connection is encrypted, and every peer authenticated by its key.
struct Security {
  access::KeyPair server_key = {};           // of all processes of the cluster
  std::vector<access::Client> clients = {};  // everything not granted here is denied

  bool operator==(const Security&) const = default;
};

struct Cluster {
  std::string file = {};                     // where it was read from, as given
  std::string fingerprint = {};              // of the text of the file (core/base/file_read.h)
  int server_key_line = 0;                   // in it; 0: without security
  std::string state_dir = "./canopy-state";  // of shards and broker: their files, in state_dir/NAME
  std::string log_level = "info";            // debug, info, warn, error
  std::string log_format = "text";           // text, json
  std::optional<Security> security = {};     // absent: open, and not encrypted
  Coordination coordination = {};
  Broker broker = {};
  std::vector<Partition> partitions = {};
  std::vector<Shard> shards = {};
  std::vector<Proxy> proxies = {};
  // Entries whose name ends with `*`: any number of proxies whose names begin like it.
  std::vector<Proxy> proxy_templates = {};

  // Of its processes; null without security.
  const access::KeyPair* keys() const { return security ? &security->server_key : nullptr; }
  const Shard* find_shard(const std::string& name) const;
  const Proxy* find_proxy(const std::string& name) const;
  const Partition* find_partition(const std::string& subtree) const;
  // Of which the shard keeps a replica.
  std::vector<const Partition*> partitions_of(const std::string& shard) const;
};

// A file that a running process reads again may need more than the process can do; the process
// refuses that part and applies the rest.
enum class ReadTo { start, reload };
base::Result<Cluster> parse_cluster(const std::string& text, const std::string& file_name,
                                    ReadTo purpose = ReadTo::start);
base::Result<Cluster> read_cluster(const std::string& path, ReadTo purpose = ReadTo::start);

}  // namespace canopy::config
