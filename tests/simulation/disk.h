// The disk of one replica: carries out operations in their order, in groups, with a delay. A crash
// loses the pending operations, except perhaps a prefix: the last entries of a group may be
// missing.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "tests/simulation/random.h"

namespace canopy::simulation {

class Disk {
 public:
  using Replica = cluster::Replica;

  Disk(std::string identity, bool retain, Replica::Recovered begin = {})
      : identity_(std::move(identity)), retain_(retain), state_(std::move(begin)) {}

  // The identity of the copy, drawn when it started empty.
  const std::string& identity() const { return identity_; }

  void ask(Replica::Store store) { asked_.push_back(std::move(store)); }
  std::size_t waiting() const { return asked_.size(); }
  // Carries out this many operations; returns the sequence of the last one.
  std::uint64_t complete(std::size_t operations);
  void crash(Random& random);
  // Entries that were committed as they were stored, since the last call.
  std::vector<keyspace::LogEntry> take_committed() { return std::exchange(committed_, {}); }
  Replica::Recovered recovered() const { return state_; }
  // Whether a Split was carried out since the last call.
  bool take_split() { return std::exchange(split_, false); }

  // Whether the entry is durable.
  bool holds(const keyspace::LogEntry& entry) const;
  const Replica::Recovered& state() const { return state_; }

 private:
  void carry_out(const Replica::Operation& operation);
  void append(const std::vector<keyspace::LogEntry>& entries);
  void truncate(keyspace::Revision to);
  void commit(keyspace::Revision to);
  void split(const Replica::Split& split);
  void install(const Replica::Install& whole);

  std::string identity_;
  bool retain_;
  Replica::Recovered state_{};
  std::vector<keyspace::LogEntry> committed_{};
  bool split_ = false;
  std::deque<Replica::Store> asked_{};
};

}  // namespace canopy::simulation
