// A simple leader, against which mirrors are tested.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/cluster/mirror.h"
#include "core/keyspace/replica_log.h"
#include "core/wire/entry.h"

namespace canopy::cluster {

using keyspace::Revision;
using keyspace::UpdatePtr;

// The reference: a mirror must equal it.
class Leader {
 public:
  explicit Leader(std::uint32_t epoch, std::size_t log_updates = 1000, std::size_t deletions = 1000)
      : log_({.updates = log_updates, .bytes = 1 << 20}), tombstones_(deletions) {
    lead(epoch);
    tombstones_.reset(log_.last());
  }

  // Begins an epoch with its present tree.
  void lead(std::uint32_t epoch) {
    static std::uint64_t last_lineage = 0;
    lineage_ = ++last_lineage;
    log_.begin_epoch(epoch, lineage_);
  }

  wire::Batch write(const std::string& key, const std::string& value) {
    wire::Batch batch = heartbeat();
    auto update = wire::make_update(
        {.key = key, .value = value, .revision = log_.last().next(), .deleted = value.empty()});
    log_.append({.update = update});
    log_.trim(update->revision);
    tree_.apply(update);
    if (update->deleted) tombstones_.add(update);
    batch.updates.push_back(update);
    return batch;
  }
  wire::Batch heartbeat() const {
    return {.partition = "/p/",
            .lineage = lineage_,
            .after = log_.last(),
            .committed = {},
            .updates = {}};
  }
  // Answers a sync at once, in chunks of at most two updates.
  std::vector<wire::Chunk> answer(const wire::Sync& sync) const {
    std::vector<wire::Chunk> chunks;
    wire::Chunk chunk{.request = sync.request, .partition = "/p/", .lineage = lineage_};
    const auto cut_chunk = [&](Revision revision) {
      chunk.revision = revision;
      chunks.push_back(chunk);
      ++chunk.number;
      chunk.updates.clear();
    };
    if (log_.knows(sync.since, sync.lineage) && log_.reaches(sync.since)) {
      Revision at = sync.since;
      while (at < log_.last()) {
        chunk.updates.push_back(log_.after(at)->update);
        at = at.next();
        if (chunk.updates.size() == 2) cut_chunk(at);
      }
    } else {
      chunk.kind = wire::Chunk::Kind::snapshot;
      chunk.floor = tombstones_.floor();
      for (const UpdatePtr& deletion : tombstones_.after(chunk.floor)) {
        if (tree_.find(deletion->key) != nullptr) continue;
        chunk.updates.push_back(deletion);
        if (chunk.updates.size() == 2) cut_chunk(log_.last());
      }
      for (auto entry = tree_.view().seek(""); !entry.done(); entry.next()) {
        chunk.updates.push_back(*entry);
        if (chunk.updates.size() == 2) cut_chunk(log_.last());
      }
    }
    cut_chunk(log_.last());
    chunks.back().last = true;
    return chunks;
  }
  const keyspace::Tree& tree() const { return tree_; }
  Revision revision() const { return log_.last(); }
  std::uint64_t lineage() const { return lineage_; }

 private:
  std::uint64_t lineage_ = 0;
  keyspace::Tree tree_;
  keyspace::ReplicaLog log_;
  keyspace::Tombstones tombstones_;
};

using Map = std::map<std::string, std::string>;

inline Map contents(const keyspace::Tree& tree) {
  Map map;
  for (auto entry = tree.view().seek(""); !entry.done(); entry.next()) {
    map[std::string((*entry)->key)] = (*entry)->value;
  }
  return map;
}

// `known`, the state as of a revision, with the mirror's changes since that revision.
inline Map caught_up(Map known, Revision since, const Mirror& mirror) {
  for (const UpdatePtr& deletion : mirror.tombstones().after(since))
    known.erase(std::string(deletion->key));
  for (auto entry = mirror.tree().view().seek(""); !entry.done(); entry.next()) {
    if ((*entry)->revision > since) known[std::string((*entry)->key)] = (*entry)->value;
  }
  return known;
}

inline std::vector<std::string> deleted(const Mirror& mirror) {
  std::vector<std::string> keys;
  for (const UpdatePtr& deletion : mirror.tombstones().after(Revision())) {
    keys.emplace_back(deletion->key);
  }
  return keys;
}

using Keys = std::vector<std::string>;

inline wire::Sync last_sync(const Mirror::Effects& effects) {
  EXPECT_FALSE(effects.requests.empty());
  auto decoded = wire::decode_to_shard(effects.requests.back());
  EXPECT_TRUE(decoded);
  return std::get<wire::Sync>(*decoded);
}

class MirrorTest : public testing::Test {
 protected:
  void feed(const std::vector<wire::Chunk>& chunks) {
    for (const auto& chunk : chunks) mirror_.on_chunk(chunk, now_, effects_);
  }
  void join(const Leader& leader) {
    mirror_.start(now_, effects_);
    feed(leader.answer(last_sync(effects_)));
    ASSERT_EQ(mirror_.state(), Mirror::State::live);
    effects_ = {};
  }

  base::TimePoint now_{std::chrono::hours(1)};
  Mirror mirror_{"/p/"};
  Mirror::Effects effects_;
};

}  // namespace canopy::cluster
