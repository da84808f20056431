#include "shard/partition.h"

#include <algorithm>
#include <cassert>

#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/entry.h"
#include "core/wire/native.h"

namespace canopy::shard {
namespace {

using keyspace::LogEntry;
using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;
using wire::Fault;

std::int64_t to_ms(base::TimePoint time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// A hash of the key and the written value.
std::size_t content_hash(std::string_view key, std::string_view value) {
  return std::hash<std::string_view>()(key) * 31 + std::hash<std::string_view>()(value);
}

std::string request_key(std::string_view client, std::uint64_t number) {
  std::string key(client);
  return key.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

Partition::Partition(Settings settings, const cluster::Replica& replica,
                     const std::vector<UpdatePtr>& recent)
    : settings_(std::move(settings)),
      replica_(replica),
      last_staged_(replica.log().last()),
      room_(settings_.max_state_bytes) {
  find_expiries();
  for (const UpdatePtr& update : recent) remember_uuid_of(*update);
  const auto& log = replica.log();
  for (const LogEntry* entry = log.after(log.first()); entry != nullptr;
       entry = log.after(entry->update->revision)) {
    remember_uuid_of(*entry->update);
  }
}

void Partition::remember_uuid_of(const Update& update) {
  if (!update.uuid.empty()) remember_uuid(update.uuid, content_hash(update.key, update.value));
}

// Finds the expiries of the tree and of uncommitted entries.
void Partition::find_expiries() {
  for (auto entry = replica_.tree().view().seek(""); !entry.done(); entry.next()) {
    if ((*entry)->expires_at_ms != 0) set_expiry((*entry)->key, (*entry)->expires_at_ms);
  }
  const auto& log = replica_.log();
  for (const LogEntry* entry = log.after(replica_.committed()); entry != nullptr;
       entry = log.after(entry->update->revision)) {
    set_expiry(entry->update->key, entry->update->expires_at_ms);
  }
}

void Partition::set_expiry(std::string_view key, std::int64_t expires_at_ms) {
  if (expires_at_ms == 0 && expiry_of_.empty()) return;
  std::string name(key);
  if (const auto known = expiry_of_.find(name); known != expiry_of_.end()) {
    expiries_.erase({known->second, name});
    if (expires_at_ms == 0) expiry_of_.erase(known);
  }
  if (expires_at_ms == 0) return;
  expiry_of_[name] = expires_at_ms;
  expiries_.emplace(expires_at_ms, std::move(name));
}

// For keys of the part: its own leader expires them.
void Partition::forget_expiries(std::string_view subtree) {
  std::erase_if(expiry_of_, [&](const auto& expiry) {
    if (!expiry.first.starts_with(subtree)) return false;
    expiries_.erase({expiry.second, expiry.first});
    return true;
  });
}

bool Partition::is_split_off(std::string_view key) const {
  return splitting_.cover(key) || replica_.splits().cover(key);
}

void Partition::split(const std::vector<std::string>& subtrees) {
  // A split copies the part: that takes disk space.
  if (refusal_ != Fault::none || room_.low()) return;
  for (const std::string& subtree : subtrees) {
    if (is_split_off(subtree) || !keyspace::is_below(subtree, settings_.subtree)) continue;
    append({.key = subtree, .splits = true});
    splitting_.add(staged_.back().update);
    forget_expiries(subtree);
  }
}

std::vector<Reply> Partition::withdraw() {
  std::vector<Reply> replies = std::exchange(refusals_to_send_, {});
  for (Waiting& waiting : replies_) {
    waiting.reply.refuse(Fault::partition_unavailable);
    replies.push_back(std::move(waiting.reply));
  }
  replies_.clear();
  return replies;
}

Partition::Staged Partition::stage(ProxyId proxy, wire::RoutedRequest&& routed,
                                   base::TimePoint now) {
  if (auto known = recognise(proxy, routed)) return *known;
  wire::WriteRequest& request = routed.request;
  const Result result = decide(request, now);
  const std::uint64_t at = reply(proxy, routed, result);
  if (!request.client.empty()) remember(request, result, at);
  return {result.fault};
}

// Handles a request that was decided before or cannot be accepted; nothing: it is new.
std::optional<Partition::Staged> Partition::recognise(ProxyId proxy, wire::RoutedRequest& routed) {
  const wire::WriteRequest& request = routed.request;
  if (request.client.empty()) {
    if (!seen_before(request)) return std::nullopt;
    reply(proxy, routed, {});
    return Staged{.repeated = true};
  }
  if (const auto decided = decisions_.find(request_key(request.client, request.number));
      decided != decisions_.end()) {
    Decision& known = decided->second;
    if (known.reply == no_reply || known.reply < replies_taken_) {
      known.reply = reply(proxy, routed, known.result);
    } else if (!routed.reply_to.empty()) {  // one answer, to the proxy of the latest copy
      Reply& waiting = replies_[known.reply - replies_taken_].reply;
      waiting.proxy = proxy;
      waiting.answer.reply_to = std::move(routed.reply_to);
    }
    return Staged{.fault = known.result.fault, .repeated = true};
  }
  const auto known = replica_.requests().look_up(request.client, request.number, request.settled);
  if (known.fault != Fault::none) {
    reply(proxy, routed, {known.fault});
    return Staged{.fault = known.fault};
  }
  if (known.revision) {
    reply(proxy, routed, {.revision = *known.revision});
    return Staged{.repeated = true};
  }
  const auto open = undecided_.find(request.client);
  if (open == undecided_.end() || open->second < max_undecided) return std::nullopt;
  reply(proxy, routed, {Fault::too_many_requests});
  return Staged{.fault = Fault::too_many_requests};
}

// Without a staged write of its own, the answer waits for the writes that the decision saw.
std::uint64_t Partition::reply(ProxyId proxy, wire::RoutedRequest& routed, Result result) {
  if (routed.reply_to.empty()) return no_reply;
  if (result.fault != Fault::none && result.fault != Fault::revision_mismatch) {
    refusals_to_send_.push_back(Reply::to(proxy, routed, result));
    return no_reply;
  }
  replies_.push_back({last_staged_, Reply::to(proxy, routed, result)});
  return replies_taken_ + replies_.size() - 1;
}

void Partition::remember(wire::WriteRequest& request, Result result, std::uint64_t reply) {
  std::string key = request_key(request.client, request.number);
  if (result.fault == Fault::none) {
    ++undecided_[request.client];
    staged_.back().request = std::make_shared<const keyspace::AppliedRequest>(
        keyspace::AppliedRequest{.client = std::move(request.client),
                                 .number = request.number,
                                 .settled = request.settled,
                                 .revision = result.revision});
  } else {
    if (wire::retriable(result.fault)) return;
    refusals_.push_back(key);
    if (refusals_.size() > max_refusals) {
      decisions_.erase(refusals_.front());
      refusals_.pop_front();
    }
  }
  decisions_.insert_or_assign(std::move(key), Decision{result, reply});
}

Result Partition::decide(wire::WriteRequest& request, base::TimePoint now) {
  if (refusal_ != Fault::none) return {refusal_};
  if (std::ranges::any_of(request.writes,
                          [this](const wire::Write& write) { return is_split_off(write.key); })) {
    return {Fault::partition_unavailable};
  }
  expire(now);
  if (Result refusal = check(request); refusal.fault != Fault::none) return refusal;
  if (settings_.retain) {
    const Revision last(last_staged_.value() + request.writes.size());
    if (const Fault fault = room_.admit(request, replica_.tree(), last); fault != Fault::none) {
      return {fault};
    }
  }
  for (const wire::Write& write : request.writes) {
    stage(write, now);
    staged_.back().completes = &write == &request.writes.back();
  }
  return {.revision = last_staged_};
}

// Checks the conditions of the writes in order, each with the effect of the writes before it.
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
  // Revisions after the earlier writes of this request.
  std::unordered_map<std::string_view, Revision> own;
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

// The revision of the key's entry once all staged writes are committed; 0: no entry.
Revision Partition::current(std::string_view key) {
  const Revision from = std::max(indexed_, replica_.committed());
  const auto note = [this](const UpdatePtr& update) { index_[update->key] = update; };
  const auto& log = replica_.log();
  for (const LogEntry* entry = log.after(from); entry != nullptr;
       entry = log.after(entry->update->revision)) {
    note(entry->update);
  }
  for (const LogEntry& entry : staged_) {
    if (entry.update->revision > from) note(entry.update);
  }
  indexed_ = last_staged_;
  if (const auto known = index_.find(key); known != index_.end()) {
    return known->second->deleted ? Revision() : known->second->revision;
  }
  const UpdatePtr entry = replica_.tree().find(key);
  return entry == nullptr ? Revision() : entry->revision;
}

void Partition::stage(const wire::Write& write, base::TimePoint now) {
  if (write.once) remember_uuid(write.uuid, content_hash(write.key, write.value));
  const bool expires = write.ttl_ms > 0 && !write.deletes;
  append({.key = write.key,
          .value = write.value,
          .properties = write.properties,
          .uuid = write.uuid,
          .expires_at_ms = expires ? to_ms(now) + write.ttl_ms : 0,
          .deleted = write.deletes});
}

// Encodes the update; no other function does.
void Partition::append(keyspace::Entry entry) {
  entry.revision = last_staged_ = last_staged_.next();
  if (settings_.retain && !entry.splits) set_expiry(entry.key, entry.expires_at_ms);
  staged_.push_back({.update = wire::make_update(entry)});
}

// A Clone client may send an update through several proxies, in requests of one write.
bool Partition::seen_before(const wire::WriteRequest& request) const {
  return std::ranges::any_of(request.writes, [this](const wire::Write& write) {
    if (!write.once) return false;
    const auto known = recent_uuids_.find(write.uuid);
    return known != recent_uuids_.end() && known->second == content_hash(write.key, write.value);
  });
}

void Partition::remember_uuid(std::string_view uuid, std::size_t content) {
  const auto [known, is_new] = recent_uuids_.insert_or_assign(std::string(uuid), content);
  if (!is_new) return;
  recent_order_.push_back(&known->first);
  if (recent_order_.size() > max_recent_uuids) {
    recent_uuids_.erase(*recent_order_.front());
    recent_order_.pop_front();
  }
}

void Partition::expire(base::TimePoint now) {
  const std::int64_t now_ms = to_ms(now);
  while (!expiries_.empty() && expiries_.begin()->first <= now_ms) {
    const std::string key = expiries_.begin()->second;
    append({.key = key, .deleted = true});
  }
}

std::vector<LogEntry> Partition::take_staged() { return std::exchange(staged_, {}); }

Partition::Committed Partition::commit(const std::vector<LogEntry>& entries, base::TimePoint now) {
  Committed result{.replies = std::exchange(refusals_to_send_, {})};
  std::vector<wire::Batch>& batches = result.batches;
  std::size_t bytes = 0;
  for (const LogEntry& entry : entries) {
    const UpdatePtr& update = entry.update;
    bytes += update->encoded().size();
    const bool follows = !batches.empty() && batches.back().end().next() == update->revision;
    if (!follows || bytes > base::max_chunk_bytes ||
        batches.back().updates.size() == wire::max_message_updates) {
      batches.push_back({.partition = settings_.subtree,
                         .lineage = replica_.lineage(),
                         .after = Revision(update->revision.value() - 1),
                         .committed = now,
                         .updates = {}});
      bytes = update->encoded().size();
    }
    batches.back().updates.push_back(update);
    if (const auto pending = index_.find(update->key);
        pending != index_.end() && pending->second == update) {
      index_.erase(pending);
    }
    if (entry.request) confirm(*entry.request);
  }
  for (; !replies_.empty() && replies_.front().at <= replica_.committed(); replies_.pop_front()) {
    result.replies.push_back(std::move(replies_.front().reply));
    ++replies_taken_;
  }
  room_.committed(replica_.committed());
  return result;
}

// After the commit the replica remembers the result.
void Partition::confirm(const keyspace::AppliedRequest& request) {
  decisions_.erase(request_key(request.client, request.number));
  const auto open = undecided_.find(request.client);
  if (open != undecided_.end() && --open->second == 0) undecided_.erase(open);
}

wire::Batch Partition::heartbeat(base::TimePoint now) const {
  return {.partition = settings_.subtree,
          .lineage = replica_.lineage(),
          .after = replica_.committed(),
          .committed = now,
          .updates = {}};
}

}  // namespace canopy::shard
