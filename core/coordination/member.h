// What a shard and a proxy announce of themselves in the directory, as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace canopy::coordination {

struct PartitionState {
  std::string subtree{};  // "" is the root
  std::string state{};    // "serving", "loading", or "failed: why"
  std::uint32_t epoch = 0;
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

struct ProxyMember {
  std::string name{};
  std::int64_t pid = 0;
  std::string http{};
  std::string state{};  // "ready", "full", "draining", "starting"
  std::uint64_t clients = 0;
  std::uint64_t max_clients = 0;
  std::optional<Triple> kvsimple{}, kvmsg{}, chp{};
};

std::string to_json(const ShardMember& member);
std::string to_json(const ProxyMember& member);
base::Result<ShardMember> parse_shard_member(const std::string& json);
base::Result<ProxyMember> parse_proxy_member(const std::string& json);

}  // namespace canopy::coordination
