// The settings of partitions, in the list of the file and in the short form.
#include "core/base/limits.h"
#include "core/config/tables.h"

namespace canopy::config {
namespace {

constexpr std::int64_t max_log_updates = 100'000'000;
constexpr std::int64_t mebibyte = 1 << 20;

Setting<Partition> subtree() {
  Setting<Partition> setting = scalar<Partition>(
      "subtree", &Partition::subtree, "the keys that the partition owns",
      [](const YAML::Node& node) -> base::Result<std::string> {
        auto value = as_text(node);
        if (!value) return base::Error{value.error() + "; the root is written \"*\""};
        if (const auto status = check_subtree(*value); !status) return base::Error{status.error()};
        return value;
      },
      [](Partition& partition, const std::string& value) {
        partition.subtree = value == "*" ? "" : value;
      });
  return required(claiming(
      std::move(setting), [](const Partition& partition, const Place& place, Claims& claims) {
        return claims.subtree(partition.subtree, shown(partition.subtree), place);
      }));
}

base::Status disagreement(const Place& place, std::size_t named, std::size_t replicas) {
  return place.error("`on` names " + std::to_string(named) + " shards and `replicas` is " +
                     std::to_string(replicas) + ": one of them is enough");
}

Setting<Partition> on() {
  const char* const help = "the shards that keep a replica, the preferred leader first";
  const auto read = [help](const YAML::Node& node, const Place& place, Partition& partition,
                           Claims& claims) -> base::Status {
    const auto items = list_entries(node, place);
    if (!items) return base::Error{items.error()};
    if (items->empty()) return place.error(std::string("names no shard (") + help + ")");
    const std::size_t replicas = partition.on.size();
    partition.on.clear();
    for (const Entry& item : *items) {
      const auto name = as_text(item.value);
      const auto status = name ? check_name(*name) : base::Error{name.error()};
      if (!status) return item.place.error(status.error() + " (" + help + ")");
      if (std::ranges::find(partition.on, *name) != partition.on.end()) {
        return item.place.error("the shard '" + *name + "' is named twice");
      }
      if (partition.on.size() == base::max_replicas) {
        return item.place.error("a partition has at most " + std::to_string(base::max_replicas) +
                                " replicas");
      }
      claims.mention_shard(*name, item.place);
      partition.on.push_back(*name);
    }
    if (replicas == 0 || replicas == partition.on.size()) return {};
    return disagreement(place, partition.on.size(), replicas);
  };
  const auto differs = [](const Partition& running, const Partition& wanted) {
    return running.on != wanted.on;
  };
  return {.key = "on", .help = help, .read = read, .differs = differs};
}

// Stored as the size of `on`, whose names stay empty until place_partitions().
Setting<Partition> replicas() {
  const char* const help = "how many shards keep a replica, where `on` does not name them";
  const auto read = [help](const YAML::Node& node, const Place& place, Partition& partition,
                           Claims&) -> base::Status {
    const auto value = as_integer(node, 1, base::max_replicas);
    if (!value) return place.error(value.error() + " (" + help + ")");
    const auto wanted = static_cast<std::size_t>(*value);
    if (partition.on.empty()) partition.on.resize(wanted);
    if (partition.on.size() == wanted) return {};
    return disagreement(place, partition.on.size(), wanted);
  };
  const auto differs = [](const Partition& running, const Partition& wanted) {
    return running.on.size() != wanted.on.size();
  };
  return claiming(
      Setting<Partition>{.key = "replicas", .help = help, .read = read, .differs = differs},
      [](const Partition& partition, const Place& place, Claims& claims) -> base::Status {
        claims.note(partition.subtree + ".replicas", place);
        return {};
      });
}

Setting<Partition> min_in_sync() {
  return claiming(number("min_in_sync", &Partition::min_in_sync, 1, base::max_replicas,
                         "with fewer replicas in sync, writes are refused"),
                  [](const Partition& partition, const Place& place, Claims&) -> base::Status {
                    // A partition without replicas is an error of its own.
                    const std::size_t replicas = partition.on.size();
                    if (replicas == 0 || partition.min_in_sync <= replicas) return {};
                    return place.error(std::to_string(partition.min_in_sync) +
                                       " is more than the replicas of " + shown(partition.subtree) +
                                       ", " + std::to_string(replicas));
                  });
}

// The settings that both forms have.
Table<Partition> storage() {
  return {
      choice("durability", &Partition::durability,
             Choices<Durability>{{"memory", Durability::memory}, {"disk", Durability::disk}},
             "what survives a restart: nothing, or all that was published"),
      choice("sync", &Partition::sync,
             Choices<Sync>{{"always", Sync::always}, {"interval", Sync::interval}},
             "when the disk is made to keep what was written"),
      duration("sync_interval_ms", &Partition::sync_interval, 1, 60'000,
               "with sync: interval, the most that a crash of the machine can lose"),
      flag("retain", &Partition::retain, "false: updates are passed on and not kept"),
      number("log_updates", &Partition::log_updates, 1, max_log_updates,
             "updates kept for replays"),
      number("log_bytes", &Partition::log_bytes, 1, std::int64_t{1} << 40,
             "bytes of the updates kept for replays"),
      number("max_state_bytes", &Partition::max_state_bytes, mebibyte, std::int64_t{1} << 44,
             "bytes of keys and values on disk at most"),
  };
}

Table<Partition> with_storage(Table<Partition> table) {
  std::ranges::move(storage(), std::back_inserter(table));
  return table;
}

}  // namespace

const Table<Partition>& partition_table() {
  static const auto table = with_storage({subtree(), on(), replicas(), min_in_sync()});
  return table;
}

Setting<Shard> own_partitions() {
  return {.key = "partitions",
          .help = "the subtrees that this shard alone keeps",
          .read = [](const auto&...) { return base::Status{}; },
          .compare = [](const auto&...) {}};
}

base::Status read_own_partitions(const Entry& item, const std::string& shard, Cluster& cluster,
                                 Claims& claims) {
  static const auto table = with_storage({subtree()});
  const auto entries = section_entries(item.value, item.place);
  if (!entries) return base::Error{entries.error()};
  const auto own = std::ranges::find(*entries, own_partitions().key, &Entry::key);
  if (own == entries->end()) return {};
  const auto items = list_entries(own->value, own->place);
  if (!items) return base::Error{items.error()};
  for (const Entry& each : *items) {
    Partition& partition = cluster.partitions.emplace_back(Partition{.on = {shard}});
    auto status = read_section(each.value, each.place, table, partition, claims);
    if (!status) return status;
  }
  return {};
}

}  // namespace canopy::config
