// Orders of operators: draining processes, electing replicas, backups, moving and splitting
// partitions.
#include "broker/election.h"
#include "broker/node.h"
#include "broker/placement.h"
#include "core/base/text.h"
#include "core/coordination/coordinators.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"

namespace canopy::broker {

namespace log = base::log;

void Node::serve_admins() {
  directory_->on_reload([this](ReloadDone done) { reload(std::move(done)); });
  directory_->on_drain([this](const std::string& name) { return drain(name); });
  directory_->on_elect([this](const std::string& partition, const std::string& shard) {
    return elect(partition, shard);
  });
  directory_->on_backup([this](const std::string& shard, const std::string& order) {
    return order_backup(shard, order);
  });
  directory_->on_place([this](const auto& partition, const auto& shards, auto done) {
    place(partition, shards, std::move(done));
  });
  directory_->on_split([this](const auto& subtree, auto done) { split(subtree, std::move(done)); });
}

// Why it cannot; empty: the order went to its shard.
std::string Node::elect(const std::string& partition, const std::string& shard) {
  std::string why_not = why_not_elected(members_, partition, shard);
  if (!why_not.empty()) return why_not;
  log::warn("node", "an operator elects a replica with its present state",
            {{"partition", keyspace::shown(partition)}, {"shard", shard}});
  order_by_etcd(coordination::election_key(partition), shard);
  return {};
}

// Why it cannot; empty: the order went to the shard.
std::string Node::order_backup(const std::string& shard, const std::string& order) {
  if (!members_.shards.contains(shard)) return "no running shard is called " + shard;
  order_by_etcd(coordination::backup_orders_prefix + shard, order);
  return {};
}

void Node::order_by_etcd(const std::string& key, const std::string& order) {
  if (etcd_ != nullptr) etcd_->compare_and_set(key, order, versions_[key], [](bool) {});
}

// Calls `done` with why it cannot, or with nothing once the directory has stored the record.
void Node::place(const std::string& partition, const std::vector<std::string>& shards,
                 std::function<void(const std::string& why)> done) {
  const auto record = placed_on(cluster_, members_, partition, shards);
  if (!record) return done(record.error());
  log::info("node", "an operator moves a partition",
            {{"partition", keyspace::shown(partition)}, {"shards", base::joined(shards)}});
  set_record(partition, *record, std::move(done));
}

void Node::split(const std::string& subtree, std::function<void(const std::string& why)> done) {
  const auto order = split_of(cluster_, members_, subtree);
  if (!order) return done(order.error());
  log::info("node", "an operator splits a partition",
            {{"partition", keyspace::shown(order->partition)}, {"split_off", subtree}});
  set_record(order->partition, order->record, std::move(done));
}

void Node::set_record(const std::string& partition, const cluster::PartitionRecord& record,
                      std::function<void(const std::string& why)> done) {
  const std::string key = coordination::partition_key(partition);
  if (etcd_ == nullptr) {
    const auto kept = directory_->keep(key, coordination::to_json(record));
    return done(kept ? std::string() : kept.error());
  }
  etcd_->compare_and_set(key, coordination::to_json(record), versions_[key],
                         [done = std::move(done)](bool taken) {
                           done(taken ? "" : "the partition has just changed: ask again");
                         });
}

}  // namespace canopy::broker
