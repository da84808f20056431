// Coordination of the cluster, behind one small interface: generations, announce oneself with a
// lease, compare and set, watch a prefix, and the deadline of one's own lease.
//
// Two implementations: `local` (local.h), served by the broker, and etcd (etcd.h).
// Not thread-safe; callbacks run on the loop that the coordinator was made on.
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
// "elections/SUBTREE" is an order, with a shard's name as value: its replica shall lead with what
// it has. "backup_orders/NAME" is an order to a shard, and "backups/NAME" what became of its last
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

  // Of the service, for people: "broker" or "etcd".
  virtual std::string service() const = 0;

  // Calls back with the generation of this process: a number above those of every earlier process
  // of the cluster. The process keeps it over restarts of the coordination service; a service that
  // has lost its record may grant a higher one later, from which the process goes on.
  virtual void on_generation(Generation granted) = 0;

  // `known` is asked at each registration for the highest generation or epoch that this process
  // has heard of in any other way than from this coordinator.
  virtual void report_known(std::function<std::uint32_t()> known) = 0;

  // Keeps `key` = `value` in the directory while this process lives; a further call replaces the
  // value. Survives the loss and restart of the coordination service: everything announced and
  // watched is said again.
  virtual void announce(const std::string& key, const std::string& value) = 0;

  // Sets `key` to `value` if its version still is `expected` (0: absent). Not leased: it stays,
  // also over restarts of the service, which has it on disk before it answers. `swapped` is called
  // once, when the outcome is certain, however long that takes. False: it was not taken, or another
  // change has replaced it since.
  virtual void compare_and_set(const std::string& key, const std::string& value,
                               std::uint64_t expected, Swapped swapped) = 0;

  // Every present and future value under `prefix`. Only an event without a value says that a key is
  // gone: after a restart of the service a leased key may come back for the length of a lease.
  // `listed` is called when all that was there has been told, and so after each restart.
  virtual void watch(const std::string& prefix, Watcher watcher, Listed listed = {}) = 0;

  // Takes back what was announced: a clean goodbye.
  virtual void resign() = 0;

  // Whether the service answered within the lease.
  virtual bool connected() const = 0;

  // Until when this process certainly holds its lease, on the loop's clock: counted from when the
  // last renewal that was answered had been sent. Before it, nobody is told that this process is
  // gone; after it, anybody may have been. Absent: no lease is held. The reasoning, and what may
  // end a lease before, is in core/cluster/lease.h.
  virtual std::optional<base::TimePoint> deadline() const = 0;

  // Why the service does not register this process; empty when it does, or is not there.
  virtual std::string refusal() const = 0;
};

// For /readyz: why this process is not registered; empty when it is.
inline std::string readiness(const Coordinator& coordinator) {
  const std::string refusal = coordinator.refusal();
  if (!refusal.empty()) return "the " + coordinator.service() + " refuses this process: " + refusal;
  return coordinator.connected() ? "" : coordinator.service() + " not reached";
}

}  // namespace canopy::coordination
