// The announcements of shards and proxies in the directory, as JSON: the values of a Members
// message (native_broker.h). Pure. docs/reference/protocol.md has the fields that clients use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file_read.h"
#include "core/base/result.h"

namespace canopy::wire {

// Directory keys: "proxies/NAME", with a ProxyMember as value.
inline constexpr const char* proxies_prefix = "proxies/";

struct PartitionState {
  std::string subtree{};  // "" is the root
  // "serving" and "full: why" of the leader; "following NAME", "loading", "waiting: why" or
  // "failed: why" of others.
  std::string state{};
  std::uint32_t epoch = 0;

  bool serves() const { return state == "serving" || state.starts_with("full: "); }
  // True when the replica serves, or follows the one that serves.
  bool well() const { return state == "serving" || state.starts_with("following "); }
};

struct ShardMember {
  std::string name{};
  std::int64_t pid = 0;
  std::string http{};      // HOST:PORT
  std::string requests{};  // endpoints that proxies connect to
  std::string updates{};
  std::vector<PartitionState> partitions{};
};

// The endpoints of one Clone dialect.
struct Triple {
  std::string snapshot{}, updates{}, collector{};
};

// The vitals of a process, for `canopy status` and the status page; sent each second. Counters
// count from the start of the process.
struct Vitals {
  std::string name{};
  std::uint64_t fds = 0;
  std::uint64_t max_fds = 0;
  std::uint64_t clients = 0;  // of a shard: its proxies
  std::uint64_t drops = 0;    // updates dropped at high-water marks that it knows of
  // By subtree ("*" is the root); left out beyond about 1,500 partitions.
  std::map<std::string, std::uint64_t> revisions{};
  std::uint64_t uptime_ms = 0;  // when these vitals were sent; 0: not known
  std::uint64_t updates = 0;    // committed; of a proxy: passed on
  base::FileRead file{};        // the configuration
  // Of a proxy only:
  std::uint64_t deliveries = 0;         // updates handed to clients, one for each that gets it
  std::uint64_t delivered_bytes = 0;    // of these
  std::uint64_t flush_interval_us = 0;  // as tuned by now
};

struct ProxyMember {
  std::string name{};
  std::int64_t pid = 0;
  std::string http{};
  std::string state{};  // "ready", "full", "draining", "starting"
  std::uint64_t clients = 0;
  std::uint64_t max_clients = 0;
  std::string native{};  // endpoint of the native protocol; empty: not served
  std::optional<Triple> kvsimple{}, kvmsg{}, chp{};
};

// The worst state of the shard's partitions, in one word: "down", "failed", "waiting", "loading",
// "full", else "ready".
std::string state_of(const ShardMember& shard);

std::string to_json(const ShardMember& member);
std::string to_json(const ProxyMember& member);
std::string to_json(const Vitals& vitals);
base::Result<ShardMember> parse_shard_member(const std::string& json);
base::Result<ProxyMember> parse_proxy_member(const std::string& json);
base::Result<Vitals> parse_vitals(const std::string& json);

}  // namespace canopy::wire
