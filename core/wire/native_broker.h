// The messages between clients and the broker, in the native protocol (core/wire/native.h). The
// broker checks permissions.
//
//   directory = [144, request, prefix]
//   drain     = [145, request, name]
//   reload    = [146, request]
//   elect     = [147, request, partition, shard]
//   backup    = [148, request, shard, name, order]
//   place     = [149, request, partition, [shard…]]
//   split     = [150, request, subtree]
//   members   = [208, request, [[key, value]…]]
//   drained   = [209, request]
//   reloaded  = [210, request, [setting…]]
//   elected   = [211, request]
//   backup_ordered = [212, request]
//   placed    = [213, request]
//   split_ordered = [214, request]
//
// Pure code over bytes; never throws on hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "core/wire/native.h"

namespace canopy::wire::native {

struct Directory {
  std::uint64_t request = 0;
  std::string prefix{};  // of core/coordination/coordinator.h; "" for all
};
struct Drain {
  std::uint64_t request = 0;
  std::string name{};
};
// Takes on what the broker's file says by now, in the whole cluster.
struct Reload {
  std::uint64_t request = 0;
};
// Lets the replica of this shard lead with what it has, while the partition waits for others.
struct Elect {
  std::uint64_t request = 0;
  std::string partition{};  // "" is the root
  std::string shard{};
};
// Has a shard write a backup of its store. "backups/SHARD" of the directory then tells the outcome.
struct Backup {
  std::uint64_t request = 0;
  std::string shard{};
  std::string name{};   // of the backup
  std::string order{};  // drawn by the client at random: the outcome names it
};
// Has the partition kept by these shards, the preferred leader first.
struct Place {
  std::uint64_t request = 0;
  std::string partition{};  // "" is the root
  std::vector<std::string> shards{};
};
// Makes the subtree, which is not the root, a partition of its own.
struct Split {
  std::uint64_t request = 0;
  std::string subtree{};
};
using ToBroker = std::variant<Directory, Drain, Reload, Elect, Backup, Place, Split>;
struct Members {
  std::uint64_t request = 0;
  std::vector<std::pair<std::string, std::string>> members{};  // key, JSON
};
struct Drained {
  std::uint64_t request = 0;
};
struct Reloaded {
  std::uint64_t request = 0;
  std::vector<std::string> settings{};  // that were changed: "proxies.p1.max_linger_ms"
};
// The broker has passed the order to the shard.
struct Elected {
  std::uint64_t request = 0;
};
// The broker has passed the order to the shard.
struct BackupOrdered {
  std::uint64_t request = 0;
};
// The directory keeps the placement; the shards follow it.
struct Placed {
  std::uint64_t request = 0;
};
// The directory keeps the order; the leader of the partition around the subtree follows it.
struct SplitOrdered {
  std::uint64_t request = 0;
};
using FromBroker =
    std::variant<Members, Drained, Reloaded, Elected, BackupOrdered, Placed, SplitOrdered, Refusal>;

std::string encode(const Directory& directory);
std::string encode(const Drain& drain);
std::string encode(const Reload& reload);
std::string encode(const Elect& elect);
std::string encode(const Backup& backup);
std::string encode(const Place& place);
std::string encode(const Split& split);
std::string encode(const Members& members);
std::string encode(const Drained& drained);
std::string encode(const Reloaded& reloaded);
std::string encode(const Elected& elected);
std::string encode(const BackupOrdered& ordered);
std::string encode(const Placed& placed);
std::string encode(const SplitOrdered& ordered);
std::variant<ToBroker, Refusal> decode_to_broker(std::string_view frame);
base::Result<FromBroker> decode_from_broker(std::string_view frame);
// Whether a frame that reached the broker is of this protocol, in whatever version, rather than a
// process's.
bool is_native(std::string_view frame);

}  // namespace canopy::wire::native
