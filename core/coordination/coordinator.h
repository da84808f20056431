// The interface of coordination: generations, keys announced under a lease, compare-and-set,
// watches of a prefix, and the deadline of this process's lease. Not thread-safe; callbacks run on
// the loop that the coordinator was made on.
//
// Two implementations: `local` (local.h), served by the broker, and etcd (etcd.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/wire/member.h"

namespace canopy::coordination {

// Directory keys: "shards/NAME", "proxies/NAME" and "vitals/NAME", with the JSON of member.h as
// values; "partitions/SUBTREE" (the root is "*"), with that of partition_record.h.
// "elections/SUBTREE" is an order, with a shard's name as value: its replica shall lead despite a
// loss. "backup_orders/NAME" is an order to a shard, and "backups/NAME" the outcome of its last
// one, with the JSON of backup.h.
inline constexpr const char* shards_prefix = "shards/";
using wire::proxies_prefix;
inline constexpr const char* vitals_prefix = "vitals/";
inline constexpr const char* partitions_prefix = "partitions/";
inline constexpr const char* elections_prefix = "elections/";
inline constexpr const char* backup_orders_prefix = "backup_orders/";
inline constexpr const char* backups_prefix = "backups/";

struct Event {
  std::string key;
  std::optional<std::string> value;  // absent: deleted, or its lease ran out
  std::uint64_t version = 0;         // grows with every change of the directory
};

class Coordinator {
 public:
  using Watcher = std::function<void(const Event&)>;
  using Listed = std::function<void()>;
  using Generation = std::function<void(std::uint32_t generation)>;
  using Swapped = std::function<void(bool swapped)>;

  virtual ~Coordinator() = default;

  // The name of the service, for people: "broker" or "etcd".
  virtual std::string service() const = 0;

  // Calls back with the generation of this process: a number above those of every earlier process
  // of the cluster. The process keeps it over restarts of the coordination service. A service that
  // has lost its record may grant a higher one later, which replaces it.
  virtual void on_generation(Generation granted) = 0;

  // `known` is called at each registration. It returns the highest generation or epoch that this
  // process knows from any other source than this coordinator.
  virtual void report_known(std::function<std::uint32_t()> known) = 0;

  // Keeps `key` = `value` in the directory while this process lives; a further call replaces the
  // value. After a loss or restart of the coordination service the coordinator repeats every
  // announcement and watch.
  virtual void announce(const std::string& key, const std::string& value) = 0;

  // Sets `key` to `value` if its version still is `expected` (0: absent). Not leased: it stays,
  // also over restarts of the service, which has it on disk before it answers. `swapped` is called
  // once, when the outcome is certain, however long that takes. False: refused, or another change
  // has replaced it since.
  virtual void compare_and_set(const std::string& key, const std::string& value,
                               std::uint64_t expected, Swapped swapped) = 0;

  // Reports every present and future value under `prefix`. Only an event without a value means that
  // a key is deleted: after a restart of the service a leased key may return within a lease.
  // `listed` is called when every present value has been reported, and again after each restart.
  virtual void watch(const std::string& prefix, Watcher watcher, Listed listed = {}) = 0;

  // Withdraws every announcement, for a clean shutdown.
  virtual void resign() = 0;

  // Whether the service answered within the lease.
  virtual bool connected() const = 0;

  // The time until which this process certainly holds its lease, on the loop's clock, counted from
  // the sending of the last answered renewal. Until then the service reports to no watcher that
  // this process is gone. Absent: it holds no lease. core/cluster/lease.h has the reasoning, and
  // what may end a lease before.
  virtual std::optional<base::TimePoint> deadline() const = 0;

  // Why the service refuses to register this process; empty when it does not, or is unreachable.
  virtual std::string refusal() const = 0;
};

// For /readyz: why this process is not registered; empty when it is.
inline std::string readiness(const Coordinator& coordinator) {
  const std::string refusal = coordinator.refusal();
  if (!refusal.empty()) return "the " + coordinator.service() + " refuses this process: " + refusal;
  return coordinator.connected() ? "" : coordinator.service() + " not reached";
}

}  // namespace canopy::coordination
