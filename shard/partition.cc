#include "shard/partition.h"

#include <algorithm>

#include "core/base/limits.h"
#include "core/wire/entry.h"
#include "core/wire/native.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;
using wire::Fault;

std::int64_t to_ms(base::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Of what a write does to its key.
std::size_t content_hash(const wire::Write& write) {
  const std::size_t key = std::hash<std::string>()(write.key);
  return key * 31 + std::hash<std::string>()(write.value);
}

}  // namespace

Partition::Partition(Settings settings, std::uint32_t epoch, std::uint64_t lineage,
                     keyspace::Tree recovered, const std::vector<AppliedRequest>& applied)
    : settings_(std::move(settings)),
      tree_(std::move(recovered)),
      log_(Revision(epoch, 0), settings_.log_updates, settings_.log_bytes) {
  for (const AppliedRequest& request : applied) {
    const auto known = clients_.look_up(request.client, request.number, request.settled);
    if (known.fault != Fault::none || known.entry != nullptr) continue;
    clients_.remember(request.client, request.number, request.settled,
                      {Fault::none, request.revision});
  }
  clients_.confirm();
  start_epoch(epoch, lineage);
}

void Partition::start_epoch(std::uint32_t epoch, std::uint64_t lineage) {
  lineage_ = lineage;
  last_staged_ = Revision(epoch, 0);
  log_ = keyspace::UpdateLog(last_staged_, settings_.log_updates, settings_.log_bytes);
  tombstones_.reset(last_staged_);
  find_expiries();
}

void Partition::find_expiries() {
  expiries_.clear();
  for (auto entry = tree_.view().seek(""); !entry.done(); entry.next()) {
    const Update& update = **entry;
    if (update.expires_at_ms != 0) expiries_.emplace(update.expires_at_ms, update.key);
  }
}

void Partition::begin_epoch(std::uint32_t epoch, std::uint64_t lineage) {
  forget_staged();
  start_epoch(epoch, lineage);
}

void Partition::forget_staged() {
  for (; !staged_.empty(); staged_.pop_back()) forget_uuid(staged_.back()->uuid);
  clear_staged();
  clients_.forget_unconfirmed();
}

std::vector<Reply> Partition::withdraw() {
  std::vector<Reply> replies = std::move(replies_);
  for (Reply& reply : replies) reply.refuse(Fault::partition_unavailable);
  forget_staged();
  last_staged_ = revision();
  find_expiries();
  return replies;
}

void Partition::clear_staged() {
  staged_index_.clear();
  indexed_ = 0;
  staged_.clear();
  staged_requests_.clear();
  replies_.clear();
}

Partition::Staged Partition::stage(ProxyId proxy, wire::RoutedRequest&& routed,
                                   base::TimePoint now) {
  wire::WriteRequest& request = routed.request;
  const bool remembered = !request.client.empty();
  if (remembered) {
    const auto known = clients_.look_up(request.client, request.number, request.settled);
    if (known.entry != nullptr) return repeat(proxy, routed, *known.entry);
    if (known.fault != Fault::none) {
      reply(proxy, routed, {known.fault});
      return {known.fault};
    }
  } else if (seen_before(request)) {
    reply(proxy, routed, {});
    return {.repeated = true};
  }
  const std::optional<Result> result = decide(request, now);
  if (!result) return {.later = true};
  const std::size_t at = reply(proxy, routed, *result);
  if (remembered) {
    clients_.remember(request.client, request.number, request.settled, *result, at);
    if (result->fault == Fault::none) {
      staged_requests_.push_back(
          {std::move(request.client), request.number, request.settled, result->revision});
    }
  }
  return {result->fault};
}

// One that is decided in this turn is answered once, the way that the latest has come.
Partition::Staged Partition::repeat(ProxyId proxy, wire::RoutedRequest& routed,
                                    ClientTable::Entry& entry) {
  const Fault fault = entry.result.fault;
  if (!clients_.unconfirmed(entry) || entry.reply == ClientTable::no_reply) {
    entry.reply = reply(proxy, routed, entry.result);
  } else if (!routed.reply_to.empty()) {
    replies_[entry.reply].proxy = proxy;
    replies_[entry.reply].answer.reply_to = std::move(routed.reply_to);
  }
  return {.fault = fault, .repeated = true};
}

// Where the reply stands among those of this turn.
std::size_t Partition::reply(ProxyId proxy, wire::RoutedRequest& routed, Result result) {
  if (routed.reply_to.empty()) return ClientTable::no_reply;
  replies_.push_back(Reply::to(proxy, routed, result));
  return replies_.size() - 1;
}

// Nothing: after the next commit.
std::optional<Result> Partition::decide(wire::WriteRequest& request, base::TimePoint now) {
  expire(now);
  if (Result refusal = check(request); refusal.fault != Fault::none) return refusal;
  if (settings_.space != nullptr) {
    switch (settings_.space->admit(request, tree_)) {
      case Space::Verdict::fits: break;
      case Space::Verdict::commit_first: return std::nullopt;
      case Space::Verdict::full: return Result{Fault::full};
    }
  }
  for (wire::Write& write : request.writes) stage(write, now);
  return Result{.revision = last_staged_};
}

// Whether the conditions of the writes hold, each after the writes before it.
Result Partition::check(const wire::WriteRequest& request) {
  const auto conditional = [](const wire::Write& write) { return write.if_revision.has_value(); };
  if (request.writes.empty()) return {Fault::malformed};
  if (std::ranges::any_of(request.writes, [](const wire::Write& write) {
        return write.ttl_ms < 0 || write.ttl_ms > wire::native::max_ttl_ms;
      })) {
    return {Fault::bad_field};
  }
  if (std::ranges::none_of(request.writes, conditional)) return {};
  if (!settings_.retain) return {Fault::not_kept};
  std::unordered_map<std::string_view, Revision> own;  // what the earlier ones leave
  Revision last = last_staged_;
  for (const wire::Write& write : request.writes) {
    if (write.if_revision) {
      const auto earlier = own.find(write.key);
      const Revision before = earlier != own.end() ? earlier->second : current(write.key);
      if (before != *write.if_revision) return {Fault::revision_mismatch, current(write.key)};
    }
    last = last.next();
    own[write.key] = write.deletes ? Revision() : last;
  }
  return {};
}

// The revision of the key's entry once all that is staged is committed; 0: none.
Revision Partition::current(const std::string& key) {
  for (; indexed_ < staged_.size(); ++indexed_) {
    const Update& update = *staged_[indexed_];
    staged_index_[update.key] = update.deleted ? Revision() : update.revision;
  }
  if (const auto staged = staged_index_.find(key); staged != staged_index_.end()) {
    return staged->second;
  }
  const UpdatePtr entry = tree_.find(key);
  return entry == nullptr ? Revision() : entry->revision;
}

void Partition::stage(wire::Write& write, base::TimePoint now) {
  if (write.once) remember_uuid(write);
  forget_expiry(write.key);  // from here on the write decides, however long the commit takes
  const bool expires = write.ttl_ms > 0 && !write.deletes;
  append({.key = write.key,
          .value = write.value,
          .properties = write.properties,
          .uuid = write.uuid,
          .expires_at_ms = expires ? to_ms(now) + write.ttl_ms : 0,
          .deleted = write.deletes});
}

// The one place where an update is encoded.
void Partition::append(keyspace::Entry entry) {
  entry.revision = last_staged_ = last_staged_.next();
  staged_.push_back(wire::make_update(entry));
}

// A Clone client sends the same update through several proxies, one to a request.
bool Partition::seen_before(const wire::WriteRequest& request) const {
  return std::ranges::any_of(request.writes, [this](const wire::Write& write) {
    if (!write.once) return false;
    const auto known = recent_uuids_.find(write.uuid);
    return known != recent_uuids_.end() && known->second == content_hash(write);
  });
}

void Partition::remember_uuid(const wire::Write& write) {
  const auto [known, is_new] = recent_uuids_.insert_or_assign(write.uuid, content_hash(write));
  if (!is_new) return;
  recent_order_.push_back(&known->first);
  if (recent_order_.size() > max_recent_uuids) {
    recent_uuids_.erase(*recent_order_.front());
    recent_order_.pop_front();
  }
}

// The one remembered last, if it is that.
void Partition::forget_uuid(std::string_view uuid) {
  if (recent_order_.empty() || *recent_order_.back() != uuid) return;
  recent_order_.pop_back();
  recent_uuids_.erase(std::string(uuid));
}

void Partition::expire(base::TimePoint now) {
  const std::int64_t now_ms = to_ms(now);
  while (!expiries_.empty() && expiries_.begin()->first <= now_ms) {
    if (settings_.space != nullptr && !settings_.space->admit_expiry()) return;
    const auto node = expiries_.extract(expiries_.begin());
    append({.key = node.value().second, .deleted = true});
  }
}

void Partition::forget_expiry(std::string_view key) {
  if (expiries_.empty()) return;
  const UpdatePtr entry = tree_.find(key);
  if (entry != nullptr && entry->expires_at_ms != 0) {
    expiries_.erase({entry->expires_at_ms, std::string(key)});
  }
}

void Partition::apply(const UpdatePtr& update) {
  log_.append(update);
  if (!settings_.retain) return tombstones_.reset(update->revision);
  if (update->deleted) tombstones_.add(update);
  forget_expiry(update->key);
  tree_.apply(update);
  if (update->expires_at_ms != 0) expiries_.emplace(update->expires_at_ms, update->key);
}

Partition::Committed Partition::commit(base::TimePoint now) {
  Committed result;
  std::vector<wire::Batch>& batches = result.batches;
  std::size_t bytes = 0;
  for (UpdatePtr& update : staged_) {
    bytes += update->encoded().size();
    if (batches.empty() || bytes > base::max_chunk_bytes ||
        batches.back().updates.size() == wire::max_message_updates) {
      batches.push_back(heartbeat(now));
      bytes = update->encoded().size();
    }
    apply(update);
    batches.back().updates.push_back(std::move(update));
  }
  result.replies = std::move(replies_);
  clear_staged();
  clients_.confirm();
  return result;
}

wire::Batch Partition::heartbeat(base::TimePoint now) const {
  return {.partition = settings_.subtree,
          .lineage = lineage_,
          .after = revision(),
          .committed = now,
          .updates = {}};
}

}  // namespace canopy::shard
