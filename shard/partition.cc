#include "shard/partition.h"

#include "core/base/limits.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;

std::int64_t to_ms(base::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Partition::Partition(Settings settings, std::uint32_t epoch, keyspace::Tree recovered)
    : settings_(std::move(settings)),
      tree_(std::move(recovered)),
      log_(Revision(epoch, 0), settings_.log_updates, settings_.log_bytes),
      last_staged_(log_.last()) {
  index_expiries();
}

void Partition::index_expiries() {
  expiries_.clear();
  for (auto entry = tree_.view().seek(""); !entry.done(); entry.next()) {
    const Update& update = **entry;
    if (update.expires_at_ms != 0) expiries_.emplace(update.expires_at_ms, update.key);
  }
}

void Partition::begin_epoch(std::uint32_t epoch) {
  staged_.clear();
  log_ = keyspace::UpdateLog(Revision(epoch, 0), settings_.log_updates, settings_.log_bytes);
  last_staged_ = log_.last();
  index_expiries();
}

bool Partition::stage(wire::Write write, base::TimePoint now) {
  if (write.once && seen_before(write.uuid)) return false;
  expire(now);
  forget_expiry(write.key);  // from here on the write decides, however long the commit takes
  last_staged_ = last_staged_.next();
  const bool expires = write.ttl_ms > 0 && !write.deletes;
  staged_.push_back(
      std::make_shared<Update>(Update{.key = std::move(write.key),
                                      .value = std::move(write.value),
                                      .properties = std::move(write.properties),
                                      .uuid = std::move(write.uuid),
                                      .revision = last_staged_,
                                      .expires_at_ms = expires ? to_ms(now) + write.ttl_ms : 0,
                                      .deleted = write.deletes}));
  return true;
}

bool Partition::seen_before(const std::string& uuid) {
  if (!recent_uuids_.insert(uuid).second) return true;
  recent_order_.push_back(uuid);
  if (recent_order_.size() > max_recent_uuids) {
    recent_uuids_.erase(recent_order_.front());
    recent_order_.pop_front();
  }
  return false;
}

void Partition::expire(base::TimePoint now) {
  const std::int64_t now_ms = to_ms(now);
  while (!expiries_.empty() && expiries_.begin()->first <= now_ms) {
    auto node = expiries_.extract(expiries_.begin());
    last_staged_ = last_staged_.next();
    staged_.push_back(std::make_shared<Update>(
        Update{.key = std::move(node.value().second), .revision = last_staged_, .deleted = true}));
  }
}

void Partition::forget_expiry(const std::string& key) {
  if (expiries_.empty()) return;
  const UpdatePtr entry = tree_.find(key);
  if (entry != nullptr && entry->expires_at_ms != 0) expiries_.erase({entry->expires_at_ms, key});
}

void Partition::apply(const UpdatePtr& update) {
  log_.append(update);
  if (!settings_.retain) return;
  forget_expiry(update->key);
  tree_.apply(update);
  if (update->expires_at_ms != 0) expiries_.emplace(update->expires_at_ms, update->key);
}

std::vector<wire::Batch> Partition::commit(base::TimePoint now) {
  std::vector<wire::Batch> batches;
  std::size_t bytes = 0;
  for (UpdatePtr& update : staged_) {
    bytes += update->bytes();
    if (batches.empty() || bytes > base::max_chunk_bytes ||
        batches.back().updates.size() == wire::max_message_updates) {
      batches.push_back(heartbeat(now));
      bytes = update->bytes();
    }
    apply(update);
    batches.back().updates.push_back(std::move(update));
  }
  staged_.clear();
  return batches;
}

wire::Batch Partition::heartbeat(base::TimePoint now) const {
  return {.partition = settings_.subtree, .after = revision(), .committed = now, .updates = {}};
}

}  // namespace canopy::shard
