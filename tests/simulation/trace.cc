#include "tests/simulation/trace.h"

namespace canopy::simulation {

namespace {

template <typename... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Match(Cases...) -> Match<Cases...>;

using cluster::Replica;

}  // namespace

std::string show(keyspace::Revision revision) {
  return fmt::format("{}.{}", revision.epoch(), revision.counter());
}

std::string show(const std::vector<keyspace::LogEntry>& entries) {
  std::string text;
  for (const keyspace::LogEntry& entry : entries) {
    text += fmt::format(
        "{}{} {}={}{}", text.empty() ? "" : ", ", show(entry.update->revision), entry.update->key,
        entry.update->splits    ? std::string_view("split")
        : entry.update->deleted ? std::string_view("nil")
                                : entry.update->value.substr(0, entry.update->value.find(' ')),
        entry.completes ? "" : "…");
  }
  return text.empty() ? "nothing" : text;
}

std::string show(const std::vector<keyspace::EpochEnd>& history) {
  std::string text;
  for (const keyspace::EpochEnd& end : history) {
    text += fmt::format("{}{}.{}~{:04x}", text.empty() ? "" : " ", end.epoch, end.last,
                        end.lineage & 0xffff);
  }
  return "[" + text + "]";
}

std::string show(const cluster::PartitionRecord& record) {
  std::string members;
  for (const cluster::ReplicaId& id : record.in_sync) members += " " + id.shard + "/" + id.identity;
  if (!record.placement.empty()) members += ", placed on";
  for (const std::string& shard : record.placement) members += " " + shard;
  for (const std::string& split : record.splits) members += ", split off " + split;
  return fmt::format("epoch {}~{:04x}, leader {}/{}, in sync{}", record.epoch,
                     record.lineage & 0xffff, record.leader.shard, record.leader.identity, members);
}

std::string show(const Replica::Operation& operation) {
  return std::visit(Match{
                        [](const Replica::BeginEpoch& op) {
                          return fmt::format("begin epoch {}~{:04x}", op.epoch,
                                             op.lineage & 0xffff);
                        },
                        [](const Replica::StoreEntries& op) {
                          return (op.committed ? "store committed " : "store ") + show(op.entries);
                        },
                        [](const Replica::Truncate& op) { return "truncate to " + show(op.to); },
                        [](const Replica::Commit& op) { return "commit to " + show(op.to); },
                        [](const Replica::Split& op) {
                          return fmt::format("split {} off at {}: {} entries", op.entry->key,
                                             show(op.entry->revision), op.tree.size());
                        },
                        [](const Replica::Install& op) {
                          return fmt::format("install {} entries at {} {}", op.tree.size(),
                                             show(op.cut), show(op.history));
                        },
                        [](const Replica::Remember& op) { return "remember " + show(op.record); },
                    },
                    operation);
}

std::string show(const wire::ToLeader& message) {
  return std::visit(Match{
                        [](const wire::Follow& m) {
                          return fmt::format("follow epoch {} session {} of {}, committed {} {}",
                                             m.epoch, m.session, m.identity, show(m.committed),
                                             show(m.history));
                        },
                        [](const wire::Stored& m) {
                          return fmt::format("stored {} epoch {} session {} of {}",
                                             show(m.position), m.epoch, m.session, m.identity);
                        },
                    },
                    message);
}

std::string show(const wire::ToFollower& message) {
  return std::visit(
      Match{
          [](const wire::Append& m) {
            return fmt::format("append {}/{} epoch {} of {}~{:04x} after {} committed {}: {}",
                               m.session, m.number, m.epoch, m.of_epoch, m.of_lineage & 0xffff,
                               show(m.after), show(m.committed), show(m.entries));
          },
          [](const wire::Snapshot& m) {
            return fmt::format("snapshot {}/{} epoch {} cut {} {}: {} entries, {} requests{}",
                               m.session, m.number, m.epoch, show(m.cut), show(m.history),
                               m.updates.size(), m.requests.size(), m.last ? ", last" : "");
          },
          [](const wire::Unled& m) { return fmt::format("unled {} epoch {}", m.session, m.epoch); },
      },
      message);
}

}  // namespace canopy::simulation
