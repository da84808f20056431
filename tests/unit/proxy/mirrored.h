// Partitions with mirrors that a test fills as a shard would.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/keyspace/partition_map.h"
#include "core/wire/entry.h"
#include "proxy/partitions.h"

namespace canopy::proxy {

class Mirrored final : public Partitions {
 public:
  explicit Mirrored(std::vector<std::string> subtrees) {
    for (std::string& subtree : subtrees) {
      mirrors_.push_back(std::make_unique<cluster::Mirror>(subtree));
      map_.add(std::move(subtree));
    }
  }

  std::vector<std::size_t> covering(std::string_view prefix) const override {
    return map_.covering(prefix);
  }
  const std::string& subtree(std::size_t partition) const override {
    return map_.subtree(partition);
  }
  // Each partition has a shard of its own.
  const std::string& shard_name(std::size_t shard) const override { return subtree(shard); }
  const cluster::Mirror* mirror(std::size_t partition) const override {
    return mirrors_[partition].get();
  }
  std::size_t owner(std::string_view key) const { return map_.owner(key); }

  // The first snapshot: nothing, as of the beginning of `epoch`.
  // Again: a new leader, which knows nothing.
  cluster::Mirror::Effects sync(std::size_t partition, std::uint32_t epoch = 1) {
    cluster::Mirror& mirror = *mirrors_[partition];
    const keyspace::Revision cut(epoch, 0);
    cluster::Mirror::Effects effects;
    mirror.start({}, effects);
    const auto sync = wire::decode_to_shard(effects.requests.back());
    mirror.on_chunk({.request = std::get<wire::Sync>(*sync).request,
                     .partition = mirror.partition(),
                     .lineage = ++last_lineage_,
                     .kind = wire::Chunk::Kind::snapshot,
                     .revision = cut,
                     .floor = cut,
                     .last = true},
                    {}, effects);
    return effects;
  }

  // One update, as the shard's next; what the mirror passes on.
  keyspace::UpdatePtr update(const std::string& key, const std::string& value) {
    return update_as(key, value, value.empty());
  }
  keyspace::UpdatePtr update_as(const std::string& key, const std::string& value, bool deletes) {
    cluster::Mirror& mirror = *mirrors_[map_.owner(key)];
    wire::Batch batch{
        .partition = mirror.partition(), .lineage = mirror.lineage(), .after = mirror.revision()};
    batch.updates.push_back(wire::make_update(
        {.key = key, .value = value, .revision = mirror.revision().next(), .deleted = deletes}));
    cluster::Mirror::Effects effects;
    mirror.on_batch(std::move(batch), {}, effects);
    return effects.applied.at(0);
  }

  // Splits the partition around the subtree, at its last revision.
  struct Split {
    std::size_t whole = 0, part = 0;
    keyspace::Revision known{};
  };
  Split split(const std::string& subtree) {
    const std::size_t whole = map_.owner(subtree);
    auto made = mirrors_[whole]->split_off(subtree);
    const keyspace::Revision known = made.ready ? made.revision : keyspace::Revision();
    mirrors_.push_back(
        std::make_unique<cluster::Mirror>(std::move(made), cluster::MirrorSettings()));
    return {.whole = whole, .part = map_.add(subtree), .known = known};
  }
  // The leader of a part that was split off begins its epoch.
  void begin(std::size_t partition) {
    cluster::Mirror& mirror = *mirrors_[partition];
    cluster::Mirror::Effects effects;
    mirror.start({}, effects);
    const auto sync = wire::decode_to_shard(effects.requests.back());
    mirror.on_chunk({.request = std::get<wire::Sync>(*sync).request,
                     .partition = mirror.partition(),
                     .lineage = ++last_lineage_,
                     .revision = keyspace::Revision(mirror.revision().epoch() + 1, 0),
                     .last = true},
                    {}, effects);
  }

 private:
  std::uint64_t last_lineage_ = 0;
  keyspace::PartitionMap map_;
  std::vector<std::unique_ptr<cluster::Mirror>> mirrors_;
};

}  // namespace canopy::proxy
