#include "core/cluster/registry.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/keyspace/key.h"

namespace canopy::cluster {
namespace {

void fail(Effects& effects, const SessionId& to, Fault fault, const std::string& subject) {
  effects.letters.push_back({to, Failed{fault, subject}});
}

}  // namespace

std::string_view to_text(Fault fault) {
  switch (fault) {
    case Fault::malformed: return "malformed message";
    case Fault::unknown_session: return "unknown session";
    case Fault::superseded: return "superseded by a newer process of this name";
    case Fault::too_many_sessions: return "too many sessions";
    case Fault::bad_name: return "not a process name";
    case Fault::bad_key: return "not a directory key";
    case Fault::value_too_long: return "value too long";
    case Fault::too_many_keys: return "too many directory keys";
    case Fault::key_taken: return "key is held by another";
    case Fault::too_many_watches: return "too many watches";
    case Fault::bad_partition: return "not a partition";
    case Fault::too_many_partitions: return "too many partitions";
    case Fault::too_many_candidates: return "too many candidates";
    case Fault::epoch_out_of_range: return "epoch out of range";
    case Fault::name_taken: return "another process of this name is running";
    case Fault::no_generation: return "no generation can be granted";
    case Fault::not_kept: return "the change cannot be kept";
  }
  return "unknown fault";
}

// The session, its lease renewed; null, and told so, when there is none.
Registry::Session* Registry::find(const SessionId& session, base::TimePoint now, Effects& effects) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) {
    fail(effects, session, Fault::unknown_session, {});
    return nullptr;
  }
  found->second.renew(now + lease_);
  return &found->second;
}

Effects Registry::ping(const SessionId& session, base::TimePoint now) {
  Effects effects;
  find(session, now, effects);
  return effects;
}

Effects Registry::announce(const SessionId& session, const std::string& key,
                           const std::string& value, base::TimePoint now) {
  Effects effects;
  Session* speaker = find(session, now, effects);
  if (speaker == nullptr || !room_for(session, key, value, effects)) return effects;
  speaker->resigned = false;
  if (const auto present = entries_.find(key); present != entries_.end()) {
    if (!present->second.leased || present->second.session != session) {
      fail(effects, session, Fault::key_taken, key);
      return effects;
    }
    if (present->second.value == value) return effects;
  }
  if (staged_.contains(key)) {
    fail(effects, session, Fault::key_taken, key);
    return effects;
  }
  set(key,
      {.value = value, .version = ++version_, .session = session, .request = 0, .leased = true},
      effects);
  return effects;
}

Effects Registry::watch(const SessionId& session, const std::string& prefix, base::TimePoint now) {
  Effects effects;
  Session* watcher = find(session, now, effects);
  if (watcher == nullptr) return effects;
  if (keyspace::check_prefix(prefix, max_directory_key_bytes) != keyspace::KeyFault::none) {
    fail(effects, session, Fault::bad_key, {});
    return effects;
  }
  if (!watcher->watches.contains(prefix) && watcher->watches.size() >= max_watches_per_session) {
    fail(effects, session, Fault::too_many_watches, prefix);
    return effects;
  }
  watcher->watches.insert(prefix);
  for (auto it = entries_.lower_bound(prefix);
       it != entries_.end() && it->first.starts_with(prefix); ++it) {
    effects.letters.push_back(
        {session, KeyChanged{it->first, it->second.value, it->second.version}});
  }
  effects.letters.push_back({session, Watched{prefix}});
  return effects;
}

Effects Registry::resign(const SessionId& session, base::TimePoint now) {
  Effects effects;
  Session* resigning = find(session, now, effects);
  if (resigning == nullptr) return effects;
  withdraw(session, effects);
  resigning->resigned = true;
  record_.forget_holder(resigning->name);
  return effects;
}

Effects Registry::disconnected(const SessionId& id, base::TimePoint now) {
  Effects effects;
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return effects;
  Session& session = found->second;
  session.deadline = std::min(session.deadline, now + closed_grace);
  session.disconnected = true;
  end_if_gone(id, effects);
  return effects;
}

Effects Registry::process_ended(const std::string& name) {
  Effects effects;
  const auto found = names_.find(name);
  if (found == names_.end()) return effects;
  sessions_.at(found->second).process_ended = true;
  end_if_gone(found->second, effects);
  return effects;
}

void Registry::end_if_gone(const SessionId& id, Effects& effects) {
  const Session& session = sessions_.at(id);
  if (!session.disconnected || !session.process_ended) return;
  end(SessionId(id), session.resigned ? SessionEnded::Why::left : SessionEnded::Why::dropped,
      effects);
}

Effects Registry::expire(base::TimePoint now) {
  Effects effects;
  std::vector<std::pair<SessionId, SessionEnded::Why>> silent;
  for (const auto& [id, session] : sessions_) {
    using enum SessionEnded::Why;
    if (session.deadline <= now) silent.emplace_back(id, session.resigned ? left : expired);
  }
  for (const auto& [id, why] : silent) end(id, why, effects);
  return effects;
}

void Registry::renew_leases(base::TimePoint now) {
  for (auto& [id, session] : sessions_) {
    session.deadline = now + (session.disconnected ? std::min(lease_, closed_grace) : lease_);
  }
  holders_return_until_ = now + lease_;
}

void Registry::put(const std::string& key, Entry entry) {
  Entry& present = entries_[key];
  value_bytes_ = value_bytes_ - present.value.size() + entry.value.size();
  present = std::move(entry);
}

void Registry::set(const std::string& key, Entry entry, Effects& effects) {
  const KeyChanged change{key, entry.value, entry.version};
  put(key, std::move(entry));
  tell(change, effects);
}

void Registry::erase(const std::string& key, Effects& effects) {
  if (const auto gone = entries_.extract(key)) value_bytes_ -= gone.mapped().value.size();
  tell({key, std::nullopt, ++version_}, effects);
}

// One letter a session, however many of its watches match.
void Registry::tell(const KeyChanged& change, Effects& effects) const {
  for (const auto& [id, session] : sessions_) {
    const bool watches = std::ranges::any_of(
        session.watches, [&](const std::string& prefix) { return change.key.starts_with(prefix); });
    if (watches) effects.letters.push_back({id, change});
  }
  effects.changes.emplace_back(change);
}

bool Registry::may_campaign(const SessionId& session, const std::string& partition,
                            std::uint32_t least_epoch, std::uint32_t held_epoch,
                            Effects& effects) const {
  const auto present = partitions_.find(partition);
  const auto full = [&](const Partition& other) {
    return other.waiting.size() + (other.leader ? 1 : 0) >= max_candidates &&
           !other.led_by(session) &&
           std::ranges::find(other.waiting, session, &Candidate::session) == other.waiting.end();
  };
  if (keyspace::check_prefix(partition) != keyspace::KeyFault::none) {
    fail(effects, session, Fault::bad_partition, {});
  } else if (std::max(least_epoch, held_epoch) > DirectoryRecord::max_generation) {
    fail(effects, session, Fault::epoch_out_of_range, partition);
  } else if (present == partitions_.end() && partitions_.size() >= max_led_partitions) {
    fail(effects, session, Fault::too_many_partitions, partition);
  } else if (present != partitions_.end() && full(present->second)) {
    fail(effects, session, Fault::too_many_candidates, partition);
  } else {
    return true;
  }
  return false;
}

Effects Registry::campaign(const SessionId& session, const std::string& name,
                           std::uint32_t least_epoch, std::uint32_t held_epoch,
                           base::TimePoint now) {
  Effects effects;
  Session* candidate = find(session, now, effects);
  if (candidate == nullptr) return effects;
  if (!may_campaign(session, name, least_epoch, held_epoch, effects)) return effects;
  candidate->resigned = false;
  Partition& partition = partitions_[name];
  if (partition.led_by(session)) {
    if (least_epoch <= partition.epoch) {
      effects.letters.push_back({session, Granted{name, partition.epoch}});
    } else {  // it wants a higher one
      depose(name, partition, effects);
      partition.waiting.insert(partition.waiting.begin(), {session, least_epoch});
      elect(name, partition, effects);
    }
    return effects;
  }
  const auto in_line = std::ranges::find(partition.waiting, session, &Candidate::session);
  const bool kept = held_epoch != 0 && held_epoch >= least_epoch &&
                    (held_epoch > record_.floor() || !candidate->granted_since) &&
                    held_epoch >= partition.epoch + (partition.leader ? 1 : 0);
  const bool from_before = held_epoch < partition.first_epoch || !candidate->granted_since;
  const bool outranks = held_epoch != 0 && !kept && partition.leader && from_before &&
                        partition.elected_blindly && held_epoch >= partition.leader->least_epoch;
  if (held_epoch != 0 && !kept && !outranks) effects.letters.push_back({session, Lost{name}});
  if (kept || outranks) {
    if (in_line != partition.waiting.end()) partition.waiting.erase(in_line);
    if (partition.leader) {
      partition.waiting.push_back(*partition.leader);
      depose(name, partition, effects);
    }
  }
  if (kept) {
    record_.raise(held_epoch);
    lead(name, partition, {session, least_epoch}, held_epoch, effects);
    partition.granted_since = candidate->granted_since;
    partition.elected_blindly = false;
  } else if (outranks) {
    partition.elected_blindly = false;
    partition.waiting.insert(partition.waiting.begin(), {session, least_epoch});
    elect(name, partition, effects);
  } else if (in_line != partition.waiting.end()) {
    in_line->least_epoch = least_epoch;
  } else {
    partition.waiting.push_back({session, least_epoch});
    elect(name, partition, effects);
  }
  return effects;
}

void Registry::lead(const std::string& name, Partition& partition, Candidate candidate,
                    std::uint32_t epoch, Effects& effects) {
  assert(!partition.leader);
  const SessionId id = candidate.session;
  partition.leader = std::move(candidate);
  partition.epoch = epoch;
  effects.letters.push_back({id, Granted{name, epoch}});
  effects.changes.emplace_back(LeaderChanged{name, sessions_.at(id).name, epoch});
}

void Registry::depose(const std::string& name, Partition& partition, Effects& effects) {
  assert(partition.leader);
  effects.letters.push_back({partition.leader->session, Lost{name}});
  effects.changes.emplace_back(LeaderChanged{name, std::nullopt, partition.epoch});
  partition.leader.reset();
}

// Above `last`. Its generation serves a process for all its partitions: one that leads a thousand
// takes no more numbers than one that leads one.
base::Result<std::uint32_t> Registry::next_epoch(const Candidate& candidate, std::uint32_t last) {
  const Session& session = sessions_.at(candidate.session);
  const std::uint32_t least = std::max(candidate.least_epoch, last + 1);
  if (session.granted_here && session.generation >= least) return session.generation;
  record_.raise(least - 1);
  return record_.next();
}

// The first in line leads, unless there is no epoch left for it.
void Registry::elect(const std::string& name, Partition& partition, Effects& effects) {
  while (!partition.leader && !partition.waiting.empty()) {
    Candidate first = std::move(partition.waiting.front());
    partition.waiting.erase(partition.waiting.begin());
    if (const auto epoch = next_epoch(first, partition.epoch)) {
      if (partition.epoch == 0) {
        partition.elected_blindly = true;
        partition.first_epoch = *epoch;
      }
      lead(name, partition, std::move(first), *epoch, effects);
      partition.granted_since = true;
    } else {
      fail(effects, first.session, Fault::no_generation, epoch.error());
    }
  }
}

void Registry::withdraw(const SessionId& session, Effects& effects) {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : entries_) {
    if (entry.leased && entry.session == session) keys.push_back(key);
  }
  for (const std::string& key : keys) erase(key, effects);
  for (auto& [name, partition] : partitions_) {
    std::erase_if(partition.waiting,
                  [&](const Candidate& candidate) { return candidate.session == session; });
    if (partition.led_by(session)) {
      depose(name, partition, effects);
      elect(name, partition, effects);
    }
  }
}

void Registry::end(const SessionId& session, SessionEnded::Why why, Effects& effects) {
  const SessionEnded ended{session, sessions_.at(session).name, why};
  names_.erase(ended.name);
  sessions_.erase(ended.session);
  std::erase_if(staged_, [&](const auto& change) {
    return change.second.asked && change.second.entry.session == ended.session;
  });
  withdraw(ended.session, effects);
  if (why == SessionEnded::Why::superseded) {
    fail(effects, ended.session, Fault::superseded, ended.name);
  }
  effects.changes.emplace_back(ended);
}

std::optional<Registry::Leader> Registry::leader(const std::string& partition) const {
  const auto found = partitions_.find(partition);
  if (found == partitions_.end() || !found->second.leader) return std::nullopt;
  return Leader{sessions_.at(found->second.leader->session).name, found->second.epoch};
}

}  // namespace canopy::cluster
