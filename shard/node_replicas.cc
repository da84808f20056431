// The node's work for its replicas: the store, the directory, the links to other shards.
#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/coordination/partition_record.h"
#include "core/keyspace/key.h"
#include "core/wire/member.h"
#include "shard/node.h"

namespace canopy::shard {
namespace {

namespace log = base::log;

using keyspace::shown;

// Bytes sent to all followers in one turn; the rest follows in the next.
constexpr std::size_t follower_messages_per_turn = 256;

std::uint64_t draw_random() {
  std::random_device random;
  return (std::uint64_t{random()} << 32) | random();
}

}  // namespace

Node::Replica* Node::find(const std::string& subtree) {
  const std::size_t index = map_.find(subtree);
  if (index == map_.size()) return nullptr;
  Replica& replica = *replicas_[index];
  return replica.hosted == nullptr ? nullptr : &replica;
}

void Node::store(Hosted& from, std::vector<cluster::Replica::Store> operations) {
  storage_->submit(from.subtree(), std::move(operations));
}

void Node::on_stored(const std::string& partition, std::uint64_t sequence) {
  if (Replica* replica = find(partition)) replica->hosted->stored(sequence, loop_.now());
}

// Applies the condition of the store to every disk partition.
void Node::on_store(const StorageThread::Condition& condition) {
  const std::string why = !condition.trouble.empty() ? condition.trouble
                          : condition.low            ? "the disk has hardly any room left"
                                                     : "";
  if (why.empty()) {
    log::info("shard", "the store accepts all writes again");
  } else {
    log::warn("shard", "the store refuses writes that grow the state", {{"why", why}});
  }
  for (Replica* replica : kept_) {
    if (!replica->on_disk()) continue;
    if (replica->hosted != nullptr) replica->hosted->set_low(why, loop_.now());
  }
  low_ = why;
}

void Node::open_store(std::unique_ptr<Storage> storage) {
  storage_ = std::make_unique<StorageThread>(
      std::move(storage), loop_,
      StorageThread::Events{
          .stored = [this](const std::string& partition,
                           std::uint64_t sequence) { on_stored(partition, sequence); },
          .changed = [this](const auto& condition) { on_store(condition); }});
}

// For a replica that is not hosted, once the directory has listed its record: keeps the copy if the
// record, or else the file, places it here, or if it is in the in-sync set. Else drops it: the
// partition has moved.
void Node::place(Replica& replica) {
  host_split_off();
  const auto& record = replica.record;
  if (!records_listed_ || (!replica.configured && !record)) return;
  const bool moved = record && !record->placement.empty();
  const auto& placement = moved ? record->placement : replica.settings.on;
  const bool here = std::ranges::count(placement, config_.name) > 0 ||
                    (record && cluster::has_shard(record->in_sync, config_.name));
  if (here && !replica.opened) {
    if (!awaits_split(replica)) open_copy(replica);
    return;
  }
  if (here || (replica.opened && replica.failure.empty())) return;  // host() follows otherwise
  if (!replica.opened) keep(replica, false);
  if (!replica.clean && moved && cluster::covers(record->in_sync, placement)) drop_copy(replica);
}

void Node::keep(Replica& replica, bool kept) {
  if (std::exchange(replica.kept, kept) == kept) return;
  changed_ = true;
  if (kept) {
    kept_.push_back(&replica);
    replica.metrics.emplace(metrics_, replica.settings.subtree);
  } else {
    std::erase(kept_, &replica);
    replica.metrics.reset();
  }
}

// A disk partition is hosted once its copy has been read.
void Node::open_copy(Replica& replica, bool create) {
  keep(replica, true);
  replica.opened = true;
  replica.clean = false;
  if (!replica.on_disk()) return host(replica, base::random_identity(), {});
  const config::Partition& settings = replica.settings;
  const auto fail = [this, &replica](const std::string& why) {
    replica.failure = why;
    changed_ = true;
    log::error("shard", "partition not served",
               {{"partition", shown(replica.settings.subtree)}, {"why", why}});
  };
  if (storage_ == nullptr && store_trouble_.empty()) {  // the first disk partition on this shard
    auto storage = Storage::open(store_);
    if (storage) open_store(std::move(*storage));
    if (!storage) store_trouble_ = storage.error();
  }
  if (storage_ == nullptr) return fail(store_trouble_);
  const bool gathers = settings.sync == config::Sync::interval;
  storage_->open_copy(
      settings.subtree,
      {.retain = settings.retain,
       .sync_interval = gathers ? base::Duration(settings.sync_interval) : base::Duration{},
       .create = create},
      [this, &replica, fail](base::Result<Storage::Copy> copy) {
        if (!copy) return fail(copy.error());
        if (copy->identity.empty()) return forget_copy(replica);
        host(replica, copy->identity, std::move(copy->recovered));
      });
}

void Node::forget_copy(Replica& replica) {
  replica.hosted.reset();
  keep(replica, false);
  replica.opened = false;
  replica.clean = true;
  replica.failure.clear();
}

// The partition has moved to other shards.
void Node::drop_copy(Replica& replica) {
  const std::string partition = shown(replica.settings.subtree);
  if (replica.kept) log::info("shard", "partition moved away", {{"partition", partition}});
  forget_copy(replica);
  if (!replica.on_disk() || storage_ == nullptr) return;
  storage_->drop_copy(replica.settings.subtree, [partition](const base::Status& status) {
    if (status) return;
    log::error("shard", "copy not removed", {{"partition", partition}, {"why", status.error()}});
  });
}

void Node::host(Replica& replica, const std::string& identity,
                cluster::Replica::Recovered recovered) {
  const config::Partition& settings = replica.settings;
  const bool disk = replica.on_disk();
  Surroundings& surroundings = *this;
  replica.hosted = std::make_unique<Hosted>(
      Hosted::Settings{
          .replica = {.partition = settings.subtree,
                      .self = {config_.name, identity},
                      .placement = settings.on,
                      .min_in_sync = settings.min_in_sync,
                      .retain = settings.retain,
                      .forgetful = !disk,
                      .log = {.updates = settings.log_updates, .bytes = settings.log_bytes},
                      .lag = times_.replica_lag,
                      .prefer_after = times_.prefer_after,
                      .random = draw_random},
          .disk = disk,
          .max_state_bytes = disk ? settings.max_state_bytes : UINT64_MAX,
          .recent = std::exchange(replica.recent, {})},
      std::move(recovered), surroundings, loop_.now());
  Hosted& hosted = *replica.hosted;
  if (disk) hosted.set_low(low_, loop_.now());
  if (generation_ > 0) hosted.on_generation(generation_);
  for (const std::string& shard : alive_) {
    if (links_.connected(shard)) hosted.on_link(shard, true, loop_.now());
  }
  hosted.on_record(replica.record, replica.version, loop_.now());
  tell_coordinator_state(hosted);
  changed_ = true;
}

void Node::propose(Hosted& from, const cluster::Replica::Proposal& proposal) {
  coordinator_->compare_and_set(coordination::partition_key(from.subtree()),
                                coordination::to_json(proposal.record), proposal.expected,
                                [this, subtree = from.subtree()](bool taken) {
                                  if (Replica* replica = find(subtree)) {
                                    replica->hosted->proposed(taken, loop_.now());
                                  }
                                });
}

// Without a connection the message is lost: the replica sends it again after on_link().
void Node::send(const std::string& shard, const wire::ToLeader& message) {
  links_.send(shard, message);
}

void Node::changed(Hosted& hosted) {
  Replica* replica = find(hosted.subtree());
  if (replica != nullptr) replica->metrics->leader.Set(hosted.serves(loop_.now()) ? 1 : 0);
  changed_ = true;
}

void Node::follow_directory() {
  coordinator_->on_generation([this](std::uint32_t generation) {
    generation_ = generation;
    for_each_hosted([&](Hosted& hosted) { hosted.on_generation(generation); });
  });
  coordinator_->report_known([this] {
    std::uint32_t known = 0;
    for_each_hosted([&](const Hosted& hosted) {
      known = std::max(known, hosted.replica().log().last().epoch());
    });
    return known;
  });
  coordinator_->watch(
      coordination::partitions_prefix,
      [this](const coordination::Event& event) { on_record(event); },
      [this] {
        if (std::exchange(records_listed_, true)) return;
        std::vector<Replica*> all;
        for (const auto& replica : replicas_) all.push_back(replica.get());
        // A partition comes before its parts: see awaits_split().
        std::ranges::stable_sort(
            all, {}, [](const Replica* replica) { return replica->settings.subtree.size(); });
        for (Replica* replica : all) place(*replica);
      });
  coordinator_->watch(
      coordination::shards_prefix, [this](const coordination::Event& event) { on_shard(event); },
      [this] {
        shards_listed_ = true;
        for_each_hosted([this](Hosted& hosted) { tell_coordinator_state(hosted); });
      });
  coordinator_->watch(
      coordination::elections_prefix,
      [this](const coordination::Event& event) { on_election(event); },
      [this] { elections_listed_ = true; });
  coordinator_->watch(
      coordination::backup_orders_prefix + config_.name,
      [this](const coordination::Event& event) { on_backup_order(event); },
      [this] { backup_orders_listed_ = true; });
}

void Node::on_shard(const coordination::Event& event) {
  const std::string name = event.key.substr(std::string_view(coordination::shards_prefix).size());
  if (!event.value) {
    alive_.erase(name);
  } else {
    alive_.insert(name);
    const auto member = wire::parse_shard_member(*event.value);
    if (!member) {
      log::error("shard", "directory entry not understood",
                 {{"key", event.key}, {"why", member.error()}});
    } else if (name != config_.name) {
      links_.find(name, member->requests);
    }
  }
  for_each_hosted([this](Hosted& hosted) { tell_coordinator_state(hosted); });
}

// Passes on the live shards once the directory has listed all: else a leader would count as dead.
void Node::tell_coordinator_state(Hosted& hosted) {
  hosted.on_deadline(coordinator_->deadline(), loop_.now());
  if (shards_listed_) hosted.on_shards(alive_, loop_.now());
}

void Node::on_record(const coordination::Event& event) {
  const auto subtree = coordination::subtree_of(event.key);
  if (!subtree || !event.value) return;
  auto record = coordination::parse_partition_record(*event.value);
  if (!record) {
    log::error("shard", "partition record not understood",
               {{"key", event.key}, {"why", record.error()}});
    return;
  }
  const std::size_t index = map_.find(*subtree);
  Replica* replica = index == map_.size() ? nullptr : replicas_[index].get();
  if (replica == nullptr && record->parent) replica = add_partition(*subtree);
  if (replica == nullptr) return;
  replica->record = std::move(*record);
  replica->version = event.version;
  if (replica->hosted == nullptr) return place(*replica);
  replica->hosted->on_record(replica->record, replica->version, loop_.now());
}

// Ignores an order that the directory held before this process listened.
void Node::on_election(const coordination::Event& event) {
  if (!elections_listed_ || event.value != config_.name) return;
  const auto subtree = coordination::subtree_of(event.key, coordination::elections_prefix);
  Replica* replica = subtree ? find(*subtree) : nullptr;
  if (replica == nullptr) return;
  log::warn("shard", "an operator elects this replica: it leads with its present state",
            {{"partition", shown(*subtree)}});
  replica->hosted->accept_loss(loop_.now());
}

void Node::on_leader_link(const std::string& shard, bool up) {
  for_each_hosted([&](Hosted& hosted) { hosted.on_link(shard, up, loop_.now()); });
}

void Node::on_follower_gone(const std::string& shard) {
  for_each_hosted([&](Hosted& hosted) { hosted.on_follower_gone(shard, loop_.now()); });
}

void Node::on_leader_message(const std::string& shard, wire::ToFollower message) {
  const std::string& partition =
      std::visit([](const auto& body) -> const std::string& { return body.partition; }, message);
  if (Replica* replica = find(partition)) {
    replica->hosted->on_message(shard, std::move(message), loop_.now());
  }
}

void Node::on_follower_message(net::Connection& follower, const wire::ToLeader& message) {
  const auto& [partition, shard] =
      std::visit([](const auto& body) { return std::pair(body.partition, body.shard); }, message);
  links_.know(shard, follower);
  const std::size_t index = map_.find(partition);
  if (index == map_.size()) return;
  const Replica& replica = *replicas_[index];
  if (replica.hosted != nullptr) {
    return replica.hosted->on_message(shard, message, loop_.now());
  }
  // A copy that cannot be read does not lead: answer the follower without an identity.
  const auto* follow = std::get_if<wire::Follow>(&message);
  if (follow == nullptr || replica.failure.empty()) return;
  const std::string frame =
      wire::encode(wire::Unled{.partition = partition, .session = follow->session});
  follower.send(std::array{std::string_view(frame)});
}

// Round robin, while their connections have room.
void Node::serve_followers() {
  const base::TimePoint now = loop_.now();
  std::size_t left = follower_messages_per_turn;
  bool more = false;
  for (Replica* replica : kept_) {
    if (replica->hosted == nullptr) continue;
    for (const std::string& shard : replica->hosted->waiting()) {
      net::Connection* connection = requests_->find(links_.follower(shard));
      while (connection != nullptr && !connection->closing() &&
             connection->queued_bytes() < ReplicaLinks::follower_queue_bytes) {
        if (left == 0) {
          more = true;
          break;
        }
        const auto message = replica->hosted->next_for(shard, now);
        if (!message) break;
        --left;
        const std::string frame = wire::encode(*message);
        connection->send(std::array{std::string_view(frame)});
      }
    }
  }
  if (more) wake();
}

}  // namespace canopy::shard
