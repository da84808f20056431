#include "tests/simulation/checker.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "tests/simulation/disk.h"
#include "tests/simulation/trace.h"

namespace canopy::simulation {

namespace {

using keyspace::LogEntry;
using keyspace::Revision;

// Clients name each update CLIENT#NUMBER.PART/PARTS.
struct Tag {
  explicit Tag(std::string_view uuid)
      : request(uuid.substr(0, uuid.find('.'))),
        part(uuid.at(request.size() + 1) - '0'),
        parts(uuid.back() - '0') {}
  std::string_view request;
  int part, parts;
};

}  // namespace

std::size_t Checker::find(Revision revision) const {
  return static_cast<std::size_t>(
      std::lower_bound(history_.begin(), history_.end(), revision,
                       [](const LogEntry& a, Revision b) { return a.update->revision < b; }) -
      history_.begin());
}

void Checker::started(const std::string& shard, Disk& disk) {
  const Revision cut = disk.state().committed;
  check_equal(shard, disk.state().tree, cut);
  copies_[shard] = {&disk, cut};
  stored(shard);
}

void Checker::committed(const std::string& shard, const std::vector<LogEntry>& entries) {
  Copy& copy = copies_.at(shard);
  for (const LogEntry& entry : entries) {
    const Revision revision = entry.update->revision;
    const Revision last = before(find(revision));
    require(copy.committed >= last, "Durable", [&] {
      return shard + " commits " + show(revision) + " without " + show(last) +
             ", which was committed before";
    });
    require(copy.committed < revision, "Ordered",
            [&] { return shard + " commits " + show(revision) + " twice"; });
    admit(shard, entry);
    copy.committed = revision;
  }
  require(entries.empty() || entries.back().completes, "Atomic",
          [&] { return shard + " commits a part of a request: " + show(entries); });
}

// What a replica commits is new, or what another one has committed.
void Checker::admit(const std::string& shard, const LogEntry& entry) {
  const std::size_t at = find(entry.update->revision);
  if (at == history_.size()) return extend(entry);
  require(history_[at].update->encoded() == entry.update->encoded(), "OneLeader", [&] {
    return shard + " commits another content: " + show({entry}) + ", not " + show({history_[at]});
  });
}

void Checker::extend(const LogEntry& entry) {
  const keyspace::Update& update = *entry.update;
  if (update.splits) {
    require(history_.empty() || history_.back().completes, "Atomic",
            [&] { return "a request is split: " + show({entry}); });
    history_.push_back(entry);
    part_->history_ = history_;  // it goes on from there
    for (const cluster::ReplicaId& member : record_->in_sync) check_stored(member);
    return;
  }
  require(update.key.starts_with(subtree_), "Contract",
          [&] { return show({entry}) + " is not of " + subtree_; });
  const auto first = requests_.applied.emplace(std::string(update.uuid), update.revision);
  require(first.second, "AppliedOnce", [&] {
    return fmt::format("{} is applied at {} and {}", update.uuid, show(first.first->second),
                       show(update.revision));
  });
  check_batch(entry);
  require(record_.has_value(), "Contract",
          [&] { return "a commit, and no record: " + show({entry}); });
  history_.push_back(entry);
  for (const cluster::ReplicaId& member : record_->in_sync) check_stored(member);
  const std::ptrdiff_t copies = std::ranges::count_if(
      copies_, [&](const auto& copy) { return copy.second.disk->holds(entry); });
  require(copies >= static_cast<std::ptrdiff_t>(min_copies_), "Durable",
          [&] { return fmt::format("{} is committed on {} disks", show({entry}), copies); });
}

void Checker::check_batch(const LogEntry& entry) const {
  const Tag tag(entry.update->uuid);
  bool whole = entry.completes == (tag.part == tag.parts);
  if (history_.empty() || history_.back().completes) {
    whole = whole && tag.part == 1;
  } else {
    const Tag before(history_.back().update->uuid);
    whole = whole && before.request == tag.request && before.part + 1 == tag.part;
  }
  require(whole, "Atomic", [&] { return show({entry}) + " is not in its place in a request"; });
}

void Checker::check_stored(const cluster::ReplicaId& member) const {
  const auto copy = copies_.find(member.shard);
  if (copy == copies_.end() || copy->second.disk->identity() != member.identity) return;
  const Disk& disk = *copy->second.disk;
  for (std::size_t i = find(disk.state().committed); i < history_.size(); ++i) {
    require(disk.holds(history_[i]), "Durable", [&] {
      return show({history_[i]}) + " is committed, and " + member.shard + "/" + member.identity +
             " of the in-sync set does not store it";
    });
  }
}

void Checker::stored(const std::string& shard) {
  for (const LogEntry& entry : copies_.at(shard).disk->take_committed()) admit(shard, entry);
  if (!record_) return;
  for (const cluster::ReplicaId& member : record_->in_sync) {
    if (member.shard == shard) check_stored(member);
  }
}

keyspace::Tree Checker::expected(Revision cut) const {
  keyspace::Tree tree;
  for (const LogEntry& entry : history_) {
    const keyspace::Update& update = *entry.update;
    if (update.revision > cut) break;
    if (!update.splits && update.key.starts_with(subtree_)) tree.apply(entry.update);
    if (update.splits && part_ != nullptr) tree.extract(update.key);
  }
  return tree;
}

void Checker::check_equal(const std::string& shard, const keyspace::Tree& tree, Revision cut) {
  const std::size_t known = find(cut);
  require(known < history_.size() ? history_[known].update->revision == cut || cut.counter() == 0
                                  : cut.counter() == 0,
          "NothingUncommittedSeen",
          [&] { return shard + " has a copy as of " + show(cut) + ", which nobody committed"; });
  if (!retain_) return;
  const auto differs = keyspace::difference(
      expected(cut).view(), tree.view(), [](std::string_view) { return nullptr; }, false);
  require(differs.empty(), "Durable",
          [&] { return shard + " has another state than was committed up to " + show(cut); });
}

void Checker::installed(const std::string& shard, const cluster::Replica& replica) {
  const Revision cut = replica.committed();
  require(cut >= copies_.at(shard).committed, "NothingUncommittedSeen", [&] {
    return shard + " goes back from " + show(copies_.at(shard).committed) + " to " + show(cut);
  });
  check_equal(shard, replica.tree(), cut);
  copies_.at(shard).committed = cut;
}

void Checker::recorded(const cluster::PartitionRecord& record) {
  require(!record_ || record.epoch >= record_->epoch, "OneLeader",
          [&] { return "epochs go back: " + show(record); });
  require(std::is_sorted(record.in_sync.begin(), record.in_sync.end()) &&
              std::count(record.in_sync.begin(), record.in_sync.end(), record.leader) == 1,
          "Contract", [&] { return "a record that is none: " + show(record); });
  check_leadership(record.epoch, {record.leader, record.lineage});
  record_ = record;
  for (const cluster::ReplicaId& member : record.in_sync) check_stored(member);
}

void Checker::check_leadership(std::uint32_t epoch, const Leadership& leadership) {
  const Leadership& known = epochs_.emplace(epoch, leadership).first->second;
  require(known == leadership, "OneLeader", [&] {
    const auto text = [](const Leadership& of) {
      return fmt::format("{}/{}~{:04x}", of.leader.shard, of.leader.identity, of.lineage & 0xffff);
    };
    return fmt::format("epoch {} is led by {} and by {}", epoch, text(known), text(leadership));
  });
}

void Checker::leads(const std::string& shard, const cluster::Replica& replica) {
  check_leadership(replica.epoch(),
                   {{shard, copies_.at(shard).disk->identity()}, replica.lineage()});
  require(!leaders_ || leaders_() == 1, "OneLeader",
          [&] { return "another replica has a lease and leads, as does " + shard; });
  if (replica.epoch() <= reader_epoch_) return;
  require(replica.committed() >= reader_, "Ordered", [&] {
    return "a reader has seen " + show(reader_) + ", and " + shard + " leads at " +
           show(replica.committed());
  });
  reader_epoch_ = replica.epoch();
  reader_ = before(find(replica.committed().next()));
}

void Checker::published(const cluster::Replica& replica, const std::vector<LogEntry>& entries) {
  if (replica.epoch() != reader_epoch_) return;
  for (const LogEntry& entry : entries) {
    const Revision revision = entry.update->revision;
    require(before(find(revision)) <= reader_ && reader_ < revision, "Ordered",
            [&] { return "a reader has seen " + show(reader_) + " and is told " + show({entry}); });
    reader_ = revision;
  }
}

void Checker::answered(const std::string& client, std::uint64_t number, Revision revision) {
  const std::size_t at = find(revision);
  require(at < history_.size() && history_[at].update->revision == revision, "Durable",
          [&] { return client + " is answered " + show(revision) + ", which nobody committed"; });
  const std::string_view uuid = history_[at].update->uuid;
  require(uuid.substr(0, uuid.find('.')) == fmt::format("{}#{}", client, number), "AppliedOnce",
          [&] { return fmt::format("{} is answered {}, of {}", client, show(revision), uuid); });
  const Revision first =
      requests_.answers.emplace(std::pair(client, number), revision).first->second;
  require(first == revision, "AppliedOnce", [&] {
    return fmt::format("{}#{} is answered {} and {}", client, number, show(first), show(revision));
  });
}

bool Checker::complete(const cluster::Replica& replica) const {
  if (replica.committed() < last()) return false;
  if (!retain_) return true;
  return knows_deletions(replica) && keyspace::difference(
                                         expected(last()).view(), replica.tree().view(),
                                         [](std::string_view) { return nullptr; }, false)
                                         .empty();
}

// Of keys that are gone, every deletion after the floor.
bool Checker::knows_deletions(const cluster::Replica& replica) const {
  const keyspace::Tombstones& tombstones = replica.tombstones();
  std::set<Revision> known;
  for (const keyspace::UpdatePtr& deletion : tombstones.after(tombstones.floor())) {
    known.insert(deletion->revision);
  }
  return std::all_of(history_.begin() + static_cast<std::ptrdiff_t>(find(tombstones.floor())),
                     history_.end(), [&](const LogEntry& entry) {
                       const std::string_view key = entry.update->key;
                       return !entry.update->deleted || !key.starts_with(subtree_) ||
                              replica.splits().cover(key) ||
                              entry.update->revision <= tombstones.floor() ||
                              known.contains(entry.update->revision);
                     });
}

}  // namespace canopy::simulation
