// The shards of a cluster in memory: what they have committed, in one order over all partitions.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/keyspace/update.h"
#include "core/wire/native.h"

namespace canopy::client::model {

namespace native = wire::native;
using keyspace::Revision;

// An update with bytes of its own.
struct Update {
  std::string key{};
  std::string value{};
  Revision revision{};
  bool deleted = false;

  operator keyspace::Entry() const {
    return {.key = key, .value = value, .revision = revision, .deleted = deleted};
  }
};

class Shards {
 public:
  struct Record {
    std::string partition{};
    Update update{};
    bool reset = false;  // instead: the partition begins a new epoch with these keys alone
    std::set<std::string> kept{};
    Revision revision{};  // of the partition, after it
  };

  explicit Shards(std::vector<std::string> names) : partitions_(std::move(names)) {
    for (const std::string& name : partitions_) revisions_[name] = Revision(1, 0);
  }

  Revision put(const std::string& key, const std::string& value) {
    return commit({.key = key, .value = value});
  }
  Revision erase(const std::string& key) { return commit({.key = key, .deleted = true}); }

  // A new leader, which has lost all keys but these.
  void restart(const std::string& partition, const std::set<std::string>& kept) {
    Revision& revision = revisions_[partition];
    revision = Revision(revision.epoch() + 1, 0);
    log.push_back({.partition = partition, .reset = true, .kept = kept, .revision = revision});
    std::erase_if(state, [&](const auto& each) {
      return owner(each.first) == partition && !kept.contains(each.first);
    });
  }

  // A new leader, which knows nothing and begins with an epoch that was used before.
  void begin_again(const std::string& partition) {
    restart(partition, {});
    revisions_[partition] = log.back().revision = Revision(1, 0);
  }

  // Applied once per client and number, and answered alike; as shards do, results are kept from
  // `settled` on.
  std::variant<native::Written, native::Refusal> write(const wire::WriteRequest& request) {
    const auto refused = [&](wire::Fault fault, Revision revision = {}) {
      return native::Refusal{.request = request.number,
                             .fault = fault,
                             .text = "no",
                             .revision = revision,
                             .of = static_cast<unsigned>(native::Kind::write)};
    };
    if (request.number < settled_) return refused(wire::Fault::replayed);
    settled_ = std::max(settled_, request.settled);
    results_.erase(results_.begin(), results_.lower_bound(settled_));
    if (const auto done = results_.find(request.number); done != results_.end()) {
      return native::Written{.number = request.number, .revision = done->second};
    }
    for (const wire::Write& write : request.writes) {
      if (!write.if_revision) continue;
      const auto held = entries_.find(write.key);
      const Revision current = held == entries_.end() ? Revision() : held->second;
      if (current != *write.if_revision) return refused(wire::Fault::revision_mismatch, current);
    }
    Revision last;
    for (const wire::Write& write : request.writes) {
      last = commit({.key = write.key, .value = write.value, .deleted = write.deletes});
    }
    results_[request.number] = last;
    return native::Written{.number = request.number, .revision = last};
  }

  std::string owner(std::string_view key) const {
    std::string longest;
    for (const std::string& each : partitions_) {
      if (key.starts_with(each) && each.size() > longest.size()) longest = each;
    }
    return longest;
  }
  const std::vector<std::string>& partitions() const { return partitions_; }

  std::vector<Record> log;
  std::map<std::string, std::string> state;
  // Key -> values in the order in which they were applied.
  std::map<std::string, std::vector<std::string>> history;

 private:
  Revision commit(Update update) {
    const std::string partition = owner(update.key);
    Revision& revision = revisions_[partition];
    update.revision = revision = revision.next();
    if (update.deleted) {
      state.erase(update.key);
      entries_.erase(update.key);
    } else {
      state[update.key] = update.value;
      entries_[update.key] = revision;
      history[update.key].push_back(update.value);
    }
    log.push_back({.partition = partition, .update = std::move(update), .revision = revision});
    return revision;
  }

  std::vector<std::string> partitions_;
  std::map<std::string, Revision> revisions_;
  std::map<std::string, Revision> entries_;
  std::map<std::uint64_t, Revision> results_;  // of the one client
  std::uint64_t settled_ = 0;
};

}  // namespace canopy::client::model
