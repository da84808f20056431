// A native client for tests that checks every frame: the protocol must allow it at that point.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/wire/native.h"

namespace canopy::proxy {

struct ReferenceWatch {
  using Chunk = wire::native::ChunkHeader;
  using Seen = std::pair<std::string, std::uint64_t>;  // key, revision

  wire::native::Subscription subscription{};
  // By partition.
  std::map<std::string, keyspace::Revision> known{};
  std::map<std::string, std::map<std::string, std::string>> entries{};

  bool live = false;
  std::uint64_t stream = 0;
  std::uint64_t position = 0;
  std::uint64_t next_position = 0;  // the position with all gaps since

  // Between the first and the last chunk of a round.
  std::optional<Chunk> chunk{};
  bool round_complete = false;

  // Since the first cut, or the first after a gap of unknown size.
  bool counting = false;
  std::map<std::string, keyspace::Revision> base{};
  std::uint64_t missed = 0;
  std::set<Seen> delivered{};
};

class ReferenceClient {
 public:
  std::map<std::uint64_t, ReferenceWatch> watches;
  std::uint64_t gaps = 0;
  std::uint64_t missed = 0;  // by all watches that ever were

  void on_frame(const std::string& frame) {
    const auto status = wire::native::decode_from_proxy(frame, message_);
    ASSERT_TRUE(status) << status.error();
    std::visit([this](auto& one) { on(one); }, message_);
  }

 private:
  using Chunk = wire::native::ChunkHeader;

  // Null for a watch that has ended.
  ReferenceWatch* find(std::uint64_t request) {
    const auto watch = watches.find(request);
    return watch == watches.end() ? nullptr : &watch->second;
  }

  void on(const wire::native::Gap& gap) {
    ++gaps;
    missed += gap.missed.value_or(0);
    ReferenceWatch* const watch = find(gap.request);
    if (watch == nullptr) return;
    EXPECT_FALSE(watch->chunk) << "a round is sent to its end";
    watch->live = false;
    watch->missed += gap.missed.value_or(0);
    watch->next_position += gap.missed.value_or(0);
    if (!gap.missed) watch->counting = false;
    EXPECT_NE(gap.missed, 0u);
  }

  void on(const wire::native::Chunk& chunk) {
    ReferenceWatch* const watch = find(chunk.header.request);
    if (watch == nullptr) return;
    const Chunk& header = chunk.header;
    EXPECT_FALSE(watch->live) << "a live watch gets no chunks";
    const bool continues = watch->chunk && watch->chunk->more == Chunk::More::same_partition;
    if (continues) {
      EXPECT_EQ(header.partition, watch->chunk->partition);
      EXPECT_EQ(header.mode, watch->chunk->mode);
      EXPECT_EQ(header.revision, watch->chunk->revision);
    }
    if (!watch->chunk) watch->round_complete = false;
    auto& entries = watch->entries[header.partition];
    if (header.mode == Chunk::Mode::full) {
      if (!continues) entries.clear();
    } else {
      ASSERT_TRUE(watch->known.contains(header.partition)) << "changes since what?";
      EXPECT_LE(watch->known[header.partition], header.revision);
    }
    for (const auto& entry : chunk.entries) {
      EXPECT_LE(entry.revision, header.revision);
      apply(*watch, entries, entry);
    }
    if (header.revision == keyspace::Revision()) {
      EXPECT_EQ(header.more, Chunk::More::next_partition);
      EXPECT_TRUE(chunk.entries.empty());
      watch->known.erase(header.partition);
    } else if (header.more != Chunk::More::same_partition) {
      watch->known[header.partition] = header.revision;
      if (!watch->counting) watch->base[header.partition] = header.revision;
    }
    watch->chunk = header;
    if (header.more != Chunk::More::last) return;
    watch->chunk.reset();
    watch->round_complete = true;
    if (std::exchange(watch->counting, true)) return;
    watch->missed = 0;
    watch->delivered.clear();
  }

  void on(const wire::native::CaughtUp& caught_up) {
    ReferenceWatch* const watch = find(caught_up.request);
    if (watch == nullptr) return;
    EXPECT_FALSE(watch->live);
    EXPECT_TRUE(watch->round_complete);
    if (watch->stream == caught_up.stream) {
      EXPECT_EQ(caught_up.position, watch->next_position) << "gaps say how far it went on";
    }
    watch->live = true;
    watch->stream = caught_up.stream;
    watch->position = watch->next_position = caught_up.position;
  }

  void on(const wire::native::Batch& batch) {
    EXPECT_EQ(batch.entries.size(), batch.header.count);
    for (auto& [number, watch] : watches) {
      if (!watch.live || watch.stream != batch.header.stream) continue;
      EXPECT_LE(batch.header.after, watch.position) << "a hole that nobody told of";
      // The cut holds it, or another watch of the stream got it.
      if (batch.header.count > 0 && batch.end() <= watch.position) continue;
      EXPECT_GE(batch.end(), watch.position);
      for (std::size_t i = watch.position - batch.header.after; i < batch.entries.size(); ++i) {
        const auto& entry = batch.entries[i];
        const std::string partition = owner_of(watch, entry.key);
        EXPECT_TRUE(watch.delivered.emplace(entry.key, entry.revision.value()).second);
        apply(watch, watch.entries[partition], entry);
      }
      watch.position = watch.next_position = batch.end();
      for (const auto& [partition, revision] : batch.header.revisions) {
        EXPECT_GE(revision, watch.known[partition]);
        watch.known[partition] = revision;
      }
    }
  }

  void on(const wire::native::Refusal& refusal) { ADD_FAILURE() << refusal.text; }
  template <typename Other>
  void on(const Other&) {}

  void apply(const ReferenceWatch& watch, std::map<std::string, std::string>& entries,
             const wire::native::Entry& entry) {
    EXPECT_TRUE(wire::native::covers(watch.subscription.subtree, entry.key)) << entry.key;
    if (entry.deleted) {
      entries.erase(std::string(entry.key));
    } else {
      entries[std::string(entry.key)] = entry.value;
    }
  }

  static std::string owner_of(const ReferenceWatch& watch, std::string_view key) {
    std::string best;
    for (const auto& [partition, revision] : watch.known) {
      if (key.starts_with(partition) && partition.size() > best.size()) best = partition;
    }
    return best;
  }

  wire::native::FromProxy message_;
};

}  // namespace canopy::proxy
