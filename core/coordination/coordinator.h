// Coordination of the cluster, behind one small interface: generations, announce oneself with a
// lease, campaign for a partition, compare and set, watch a prefix.
//
// Two implementations are foreseen: `local` (local.h), served by the broker, and etcd.
// Not thread-safe; callbacks run on the loop that the coordinator was made on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace canopy::coordination {

// Directory keys: "shards/NAME", "proxies/NAME" and "vitals/NAME", with the JSON of member.h as
// values.
inline constexpr const char* shards_prefix = "shards/";
inline constexpr const char* proxies_prefix = "proxies/";
inline constexpr const char* vitals_prefix = "vitals/";

struct Event {
  std::string key;
  std::optional<std::string> value;  // absent: deleted, or its lease ran out
  std::uint64_t version = 0;         // grows with every change of the directory
};

class Coordinator {
 public:
  using Watcher = std::function<void(const Event&)>;
  // The granted epoch, or nothing when the leadership was lost to another candidate.
  using Granted = std::function<void(std::optional<std::uint32_t> epoch)>;
  using Generation = std::function<void(std::uint32_t generation)>;
  using Swapped = std::function<void(bool swapped)>;

  virtual ~Coordinator() = default;

  // Calls back with the generation of this process: a number above those of every earlier process
  // of the cluster. The process keeps it over restarts of the coordination service; a service that
  // has lost its record may grant a higher one later, from which the process goes on.
  virtual void on_generation(Generation granted) = 0;

  // `known` is asked at each registration for the highest generation or epoch that this process
  // has heard of in any other way than from this coordinator.
  virtual void report_known(std::function<std::uint32_t()> known) = 0;

  // Keeps `key` = `value` in the directory while this process lives; a further call replaces the
  // value. Survives the loss and restart of the coordination service: everything announced,
  // campaigned for and watched is said again.
  virtual void announce(const std::string& key, const std::string& value) = 0;

  // Asks to lead `partition` from an epoch of at least `least_epoch`, always above every epoch
  // granted before. Called back once granted, and again when the leadership is lost.
  virtual void campaign(const std::string& partition, std::uint32_t least_epoch,
                        Granted granted) = 0;

  // Sets `key` to `value` if its version still is `expected` (0: absent). Not leased.
  virtual void compare_and_set(const std::string& key, const std::string& value,
                               std::uint64_t expected, Swapped swapped) = 0;

  // Every present and future value under `prefix`.
  virtual void watch(const std::string& prefix, Watcher watcher) = 0;

  // Takes back what was announced, and gives up every leadership: a clean goodbye.
  virtual void resign() = 0;

  // Whether the service answered within the lease.
  virtual bool connected() const = 0;

  // Why the service does not register this process; empty when it does, or is not there.
  virtual std::string refusal() const = 0;
};

// For /readyz: why this process is not registered; empty when it is.
inline std::string readiness(const Coordinator& coordinator) {
  const std::string refusal = coordinator.refusal();
  if (!refusal.empty()) return "the broker refuses this process: " + refusal;
  return coordinator.connected() ? "" : "broker not reached";
}

}  // namespace canopy::coordination
