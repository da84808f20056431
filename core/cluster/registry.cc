#include "core/cluster/registry.h"

#include <algorithm>
#include <utility>

#include "core/keyspace/key.h"

namespace canopy::cluster {

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
    case Fault::epoch_out_of_range: return "epoch out of range";
    case Fault::name_taken: return "another process of this name is running";
    case Fault::no_generation: return "no generation can be granted";
    case Fault::not_kept: return "the change cannot be kept";
  }
  return "unknown fault";
}

void Registry::fail(Effects& effects, const SessionId& to, Fault fault,
                    const std::string& subject) {
  effects.messages.push_back({to, Failed{fault, subject}});
}

// The session, its lease renewed; null when there is none, which `effects` reports to the peer.
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
    effects.messages.push_back(
        {session, KeyChanged{it->first, it->second.value, it->second.version}});
  }
  effects.messages.push_back({session, Watched{prefix}});
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
  std::vector<std::pair<SessionId, SessionEnded::Why>> ended;
  for (const auto& [id, session] : sessions_) {
    using enum SessionEnded::Why;
    if (session.deadline <= now) ended.emplace_back(id, session.resigned ? left : expired);
  }
  for (const auto& [id, why] : ended) end(id, why, effects);
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

// Sends one message a session, however many of its watches match.
void Registry::tell(const KeyChanged& change, Effects& effects) const {
  for (const auto& [id, session] : sessions_) {
    const bool watches = std::ranges::any_of(
        session.watches, [&](const std::string& prefix) { return change.key.starts_with(prefix); });
    if (watches) effects.messages.push_back({id, change});
  }
  effects.changes.emplace_back(change);
}

void Registry::withdraw(const SessionId& session, Effects& effects) {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : entries_) {
    if (entry.leased && entry.session == session) keys.push_back(key);
  }
  for (const std::string& key : keys) erase(key, effects);
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

}  // namespace canopy::cluster
