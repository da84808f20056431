// Requests to etcd's v3 JSON gateway, and its answers, as JSON text. Pure.
//
// The format: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ and etcd's rpc.proto. Keys and
// values are base64, 64-bit numbers are strings, and fields that are zero or empty are left out.
// A parser returns an error for anything but such an answer, and ignores fields that it does not
// know.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace canopy::coordination::etcd {

// etcd refuses a request of more than 1.5 MiB by default.
inline constexpr std::size_t max_value_bytes = std::size_t{1} << 20;
inline constexpr std::chrono::hours longest_lease{1};

using Revision = std::uint64_t;  // of etcd's whole store; grows with every change
using LeaseId = std::uint64_t;   // 0: none

struct KeyValue {
  std::string key{};
  std::string value{};
  Revision modified = 0;
  LeaseId lease = 0;

  bool operator==(const KeyValue&) const = default;
};

// --- requests ---

std::string to_get(const std::string& key);
// Up to `limit` keys that start with `prefix`, from `first` on, as they were at `revision`, in
// order; of 0, as they are now.
std::string to_list(const std::string& prefix, const std::string& first, Revision revision,
                    std::size_t limit);
// Puts if `key` was last modified at `expected` (0: it is absent), and else gets it.
std::string to_swap(const std::string& key, const std::string& value, Revision expected,
                    LeaseId lease = 0);
std::string to_grant(std::chrono::seconds ttl);
std::string to_lease(LeaseId lease);  // to keep it alive, or to revoke it
// Changes of the keys that start with `prefix`, from `first` on.
std::string to_watch(const std::string& prefix, Revision first);
std::string to_authenticate(const std::string& user, const std::string& password);

// --- answers ---

struct List {
  Revision revision = 0;
  std::vector<KeyValue> found{};
  bool more = false;
};
struct Swap {
  bool swapped = false;
  Revision revision = 0;            // of the key, if swapped
  std::optional<KeyValue> found{};  // else the key, if there is one
};
struct Lease {
  LeaseId id = 0;
  std::chrono::seconds ttl{0};  // 0: there is no such lease
};
// One message of a watch's stream.
struct WatchEvents {
  struct Change {
    KeyValue of{};
    bool deleted = false;
  };
  bool canceled = false;
  bool compacted = false;  // etcd has deleted some of the requested changes
  std::string reason{};    // why the stream has ended; empty: it continues
  std::vector<Change> changes{};
};

base::Result<List> parse_list(std::string_view json);
base::Result<Swap> parse_swap(std::string_view json);
base::Result<Lease> parse_lease(std::string_view json);  // granted, or kept alive
base::Result<WatchEvents> parse_watch(std::string_view json);
base::Result<std::string> parse_token(std::string_view json);

// A failed request. The numbers are those of gRPC.
enum class Code {
  other = 2,
  invalid = 3,
  not_found = 5,
  forbidden = 7,
  exhausted = 8,
  precondition = 9,
  out_of_range = 11,
  unauthenticated = 16,
};
struct Failure {
  Code code = Code::other;
  std::string text{};  // one line
};
Failure parse_failure(std::string_view json);

// --- values ---

// The holder of a name: the value of the key names/NAME.
struct Holder {
  std::string identity{};
  std::uint32_t generation = 0;

  bool operator==(const Holder&) const = default;
};
std::string to_json(const Holder& holder);
base::Result<Holder> parse_holder(std::string_view json);

// The highest generation that was granted: the value of the key `generations`.
struct Generations {
  std::uint32_t last = 0;
  std::string record{};  // drawn at random with each record

  bool operator==(const Generations&) const = default;
};
std::string to_json(const Generations& generations);
base::Result<Generations> parse_generations(std::string_view json);

}  // namespace canopy::coordination::etcd
