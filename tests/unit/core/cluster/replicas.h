// Replicas of one partition in memory, with a coordinator and links that a test controls.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/cluster/replica.h"
#include "core/wire/entry.h"

namespace canopy::cluster {

using namespace std::chrono_literals;

// A store in memory: the result of the operations that it has carried out.
class Disk {
 public:
  Replica::Recovered content{};

  void carry_out(const Replica::Operation& operation) {
    std::visit([this](const auto& body) { carry_out(body); }, operation);
  }

 private:
  using Revision = keyspace::Revision;

  Revision last() const {
    const auto& history = content.history;
    return history.empty() ? Revision() : Revision(history.back().epoch, history.back().last);
  }
  void carry_out(const Replica::BeginEpoch& begin) {
    EXPECT_GT(begin.epoch, last().epoch());
    content.history.push_back({begin.epoch, begin.lineage, 0});
  }
  void carry_out(const Replica::StoreEntries& store) {
    for (const keyspace::LogEntry& entry : store.entries) {
      EXPECT_EQ(entry.update->revision, last().next());
      ++content.history.back().last;
      content.tail.push_back(entry);
    }
    if (store.committed) carry_out(Replica::Commit{last()});
  }
  void carry_out(const Replica::Truncate& truncate) {
    EXPECT_GE(truncate.to, content.committed);
    keyspace::ReplicaLog log({}, content.history);
    content.history = log.history_up_to(truncate.to);
    std::erase_if(content.tail,
                  [&](const auto& entry) { return entry.update->revision > truncate.to; });
  }
  void carry_out(const Replica::Commit& commit) {
    EXPECT_LE(commit.to, last());
    auto& tail = content.tail;
    for (; !tail.empty() && tail.front().update->revision <= commit.to; tail.erase(tail.begin())) {
      content.tree.apply(tail.front().update);
      if (tail.front().request) content.requests.push_back(*tail.front().request);
    }
    content.committed = commit.to;
  }
  void carry_out(const Replica::Split& split) {
    const auto before = split.entry->revision.value() - 1;
    carry_out(Replica::Commit{Revision(before)});
    content.tail.erase(content.tail.begin());
    content.committed = split.entry->revision;
    content.tree.extract(split.entry->key);
    content.splits.extract(split.entry->key);
    content.splits.add(split.entry);
  }
  void carry_out(const Replica::Install& install) {
    content.tree = {};
    for (auto at = install.tree.seek(""); !at.done(); at.next()) content.tree.put(*at);
    content.splits = {};
    for (const auto& split : install.splits) content.splits.add(split);
    content.requests = install.requests;
    content.committed = install.cut;
    content.history = install.history;
    content.tail.clear();
  }
  void carry_out(const Replica::Remember& remember) { content.record = remember.record; }
};

class Replicas {
 public:
  struct Node {
    Replica::Settings settings{};
    std::unique_ptr<Replica> replica{};
    Disk disk{};
    bool stores = true;    // carries out operations at once
    bool hears = true;     // of the coordinator's record
    bool linked = true;    // to the others
    bool proposes = true;  // its proposals reach the coordinator
    bool informed = true;  // ... and it learns what came of them
    std::deque<Replica::Store> storing{};
    std::vector<Replica::Operation> operations{};  // all
    std::vector<Replica::Message> messages{};
    std::optional<Replica::Proposal> proposal{};
    std::optional<bool> outcome{};                 // of the last proposal; not told yet
    std::vector<keyspace::UpdatePtr> committed{};  // in order
    std::vector<Replica::SplitOff> split_off{};
    unsigned leadership_changes = 0, replaced = 0;
  };

  // The shards are also the placement.
  void place(const std::vector<std::string>& shards, std::size_t min_in_sync = 1) {
    for (const std::string& shard : shards) {
      nodes_[shard].settings = {.partition = "/p/",
                                .self = {shard, shard + "-1"},
                                .placement = shards,
                                .min_in_sync = min_in_sync,
                                .random = [this] { return ++lineage_; }};
    }
  }
  Node& node(const std::string& shard) { return nodes_.at(shard); }
  Replica& replica(const std::string& shard) { return *node(shard).replica; }

  void start(const std::string& shard, bool empty = false) {
    boot(shard, empty);
    run();
  }
  // Starts with the copy on its disk, or empty and under another identity.
  void boot(const std::string& shard, bool empty) {
    Node& node = nodes_.at(shard);
    if (empty) {
      node.settings.self.identity += "x";
      node.disk = {};
    }
    node.storing.clear();
    node.messages.clear();
    node.proposal.reset();
    node.outcome.reset();
    node.replica = std::make_unique<Replica>(node.settings, node.disk.content, now_);
    alive_.insert(shard);
    renew(shard, now_ + 1h);
    tell_alive();
    tell_record(shard);
    for (auto& [other, peer] : nodes_) {
      if (other != shard && peer.replica && peer.linked && node.linked) link(shard, other, true);
    }
  }
  void start_all() {
    for (const auto& [shard, node] : nodes_) start(shard);
  }
  // The process ends; the test ends its lease separately.
  void stop(const std::string& shard, bool expires = true) {
    end(shard, expires);
    run();
  }
  void end(const std::string& shard, bool expires) {
    node(shard).replica.reset();
    for (auto& [other, peer] : nodes_) {
      if (other != shard && peer.replica) {
        call(other, [&](Replica& at, auto& out) { at.on_link(shard, false, now_, out); });
        call(other, [&](Replica& at, auto& out) { at.on_follower_gone(shard, now_, out); });
      }
    }
    if (expires) expire(shard);
  }
  void expire(const std::string& shard) {
    alive_.erase(shard);
    tell_alive();
  }
  void renew(const std::string& shard, std::optional<base::TimePoint> deadline) {
    call(shard, [&](Replica& at, auto& out) { at.on_deadline(deadline, now_, out); });
  }
  void link(const std::string& one, const std::string& other, bool up) {
    call(one, [&](Replica& at, auto& out) { at.on_link(other, up, now_, out); });
    call(other, [&](Replica& at, auto& out) { at.on_link(one, up, now_, out); });
    if (up) return;
    call(one, [&](Replica& at, auto& out) { at.on_follower_gone(other, now_, out); });
    call(other, [&](Replica& at, auto& out) { at.on_follower_gone(one, now_, out); });
  }
  // Cuts the links from and to every other shard.
  void isolate(const std::string& shard) {
    node(shard).linked = false;
    for (auto& [other, peer] : nodes_) {
      if (other != shard && peer.replica) link(shard, other, false);
    }
  }
  void join(const std::string& shard) {
    node(shard).linked = true;
    for (auto& [other, peer] : nodes_) {
      if (other != shard && peer.replica) link(shard, other, true);
    }
    run();
  }

  void set_record(std::optional<PartitionRecord> record) {
    record_ = std::move(record);
    ++version_;
    for (const auto& [shard, node] : nodes_) tell_record(shard);
  }
  void tell_record(const std::string& shard) {
    if (!node(shard).hears) return;
    call(shard, [&](Replica& at, auto& out) { at.on_record(record_, version_, now_, out); });
  }

  // Proposes one request that puts these values, each at a key of its own (the end of the value).
  void write(const std::string& shard, const std::vector<std::string>& keys,
             std::uint64_t number = 0) {
    std::vector<keyspace::LogEntry> entries;
    keyspace::Revision revision = replica(shard).next();
    for (const std::string& key : keys) {
      entries.push_back(
          {.update = wire::make_update(
               {.key = "/p/" + key.substr(key.size() - std::min<std::size_t>(key.size(), 9)),
                .value = key,
                .revision = revision}),
           .completes = false});
      revision = revision.next();
    }
    entries.back().completes = true;
    if (number != 0) {
      entries.back().request = std::make_shared<const keyspace::AppliedRequest>(
          keyspace::AppliedRequest{"client", number, 0, entries.back().update->revision});
    }
    call(shard, [&](Replica& at, auto& out) { at.propose(std::move(entries), now_, out); });
  }

  // Runs until nothing is left to do at the present time.
  void run() {
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& [shard, node] : nodes_) {
        if (!node.replica) continue;
        if (node.stores) busy |= store(shard);
        busy |= decide(shard) | deliver(shard);
      }
    }
  }
  // In small steps, with ticks.
  void pass(base::Duration time) {
    for (base::Duration each = 100ms; time > 0ms; time -= each) {
      now_ += each;
      for (auto& [shard, node] : nodes_) {
        call(shard, [&](Replica& at, auto& out) { at.tick(now_, out); });
      }
      run();
    }
  }
  // Carries out this many of the operations, in their order.
  bool store(const std::string& shard, std::size_t count = SIZE_MAX) {
    Node& node = nodes_.at(shard);
    if (node.storing.empty() || count == 0) return false;
    std::uint64_t sequence = 0;
    for (; count > 0 && !node.storing.empty(); --count, node.storing.pop_front()) {
      sequence = node.storing.front().sequence;
      node.disk.carry_out(node.storing.front().operation);
    }
    call(shard, [&](Replica& at, auto& out) { at.stored(sequence, now_, out); });
    return true;
  }
  // The coordinator stores or refuses the shard's proposal.
  bool decide(const std::string& shard) {
    Node& node = nodes_.at(shard);
    if (!node.proposal || !node.proposes) return false;
    const Replica::Proposal proposal = *node.proposal;
    const bool taken = proposal.expected == (record_ ? version_ : 0);
    if (taken) {
      EXPECT_TRUE(std::ranges::is_sorted(proposal.record.in_sync));
      record_ = proposal.record;
      ++version_;
    }
    node.proposal.reset();
    node.outcome = taken;
    if (node.informed) inform(shard);
    for (const auto& [each, peer] : nodes_) tell_record(each);
    return true;
  }

  void inform(const std::string& shard) {
    const auto taken = std::exchange(node(shard).outcome, std::nullopt);
    if (!taken) return;
    call(shard, [&](Replica& at, auto& out) { at.on_proposed(*taken, now_, out); });
  }
  // Messages under way from this shard.
  bool deliver(const std::string& shard) {
    Node& from = nodes_.at(shard);
    bool busy = false;
    for (const Replica::Message& message : std::exchange(from.messages, {})) {
      if (!connected(shard, message.to)) continue;
      busy = true;
      const auto decoded = wire::decode_to_leader(encode(message.body));
      if (!decoded) throw std::runtime_error(decoded.error());
      call(message.to, [&](Replica& at, auto& out) { at.on_message(shard, *decoded, now_, out); });
    }
    for (const std::string& to : from.replica->waiting()) {
      if (!connected(shard, to)) continue;
      const auto message = from.replica->next_for(to, now_);
      if (!message) continue;
      busy = true;
      auto decoded = wire::decode_to_follower(encode(*message));
      if (!decoded) throw std::runtime_error(decoded.error());
      call(to, [&](Replica& at, auto& out) { at.on_message(shard, *decoded, now_, out); });
    }
    return busy;
  }
  void tell_alive() {
    for (const auto& [shard, node] : nodes_) {
      call(shard, [&](Replica& at, auto& out) { at.on_shards(alive_, now_, out); });
    }
  }

  template <typename Act>
  void call(const std::string& shard, Act&& act) {
    Node& node = nodes_.at(shard);
    if (!node.replica) return;
    Replica::Effects out;
    act(*node.replica, out);
    for (Replica::Store& store : out.store) {
      node.operations.push_back(store.operation);
      node.storing.push_back(std::move(store));
    }
    for (Replica::Message& message : out.messages) node.messages.push_back(std::move(message));
    if (out.proposal) {
      EXPECT_FALSE(node.proposal) << "one at a time";
      node.proposal = std::move(out.proposal);
    }
    for (const auto& entry : out.committed) {
      node.committed.push_back(entry.update);
    }
    for (Replica::SplitOff& part : out.split_off) node.split_off.push_back(std::move(part));
    node.leadership_changes += out.leadership_changed;
    node.replaced += out.replaced;
  }

  // The values of the tree, in the order of their keys.
  std::vector<std::string> keys(const std::string& shard) {
    std::vector<std::string> keys;
    for (auto at = replica(shard).tree().view().seek(""); !at.done(); at.next()) {
      keys.emplace_back((*at)->value);
    }
    return keys;
  }
  std::vector<std::string> committed(const std::string& shard) {
    std::vector<std::string> values;
    for (const auto& update : node(shard).committed) values.emplace_back(update->value);
    return values;
  }
  ReplicaId id(const std::string& shard) { return node(shard).settings.self; }
  bool leads(const std::string& shard) { return replica(shard).leads(now_); }
  std::vector<ReplicaId> in_sync() const {
    return record_ ? record_->in_sync : std::vector<ReplicaId>();
  }
  template <typename Operation>
  std::size_t count(const std::string& shard) {
    return static_cast<std::size_t>(std::ranges::count_if(
        node(shard).operations,
        [](const auto& each) { return std::holds_alternative<Operation>(each); }));
  }

  std::map<std::string, Node> nodes_;
  std::optional<PartitionRecord> record_;
  std::uint64_t version_ = 10;
  std::set<std::string> alive_;
  std::uint64_t lineage_ = 1000;
  base::TimePoint now_{1h};

 private:
  bool connected(const std::string& from, const std::string& to) {
    const auto peer = nodes_.find(to);
    return peer != nodes_.end() && peer->second.replica && peer->second.linked && node(from).linked;
  }
};

}  // namespace canopy::cluster
