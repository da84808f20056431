// Which process may register under a name, and how a registry recovers from a lost record.
#include <algorithm>
#include <tuple>
#include <utility>

#include "core/cluster/registry.h"

namespace canopy::cluster {
namespace {

bool is_printable(const std::string& text) {
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  return text.size() <= max_name_bytes && std::ranges::all_of(text, printable);
}

// Names end up in logs and labels: printable ASCII.
bool is_name(const std::string& name) { return !name.empty() && is_printable(name); }

// The first version of a generation.
std::uint64_t version_of(std::uint32_t generation) {
  return std::uint64_t{generation} << DirectoryRecord::counter_bits;
}

}  // namespace

Registry::Registry(base::Duration lease, DirectoryRecord record, base::TimePoint now)
    : lease_(lease), record_(std::move(record)), holders_return_until_(now + lease) {
  const auto own = record_.next();
  version_ = version_of(own ? *own : record_.last());
  for (auto& [key, entry] : record_.take_entries()) {
    version_ = std::max(version_, entry.version);
    put(key, {.value = std::move(entry.value),
              .version = entry.version,
              .session = std::move(entry.session),
              .request = entry.request,
              .leased = false});
  }
}

Effects Registry::register_process(const SessionId& session, const Registration& registration,
                                   base::TimePoint now) {
  Effects effects;
  if (!is_name(registration.name) || !is_printable(registration.identity) ||
      !is_printable(registration.record)) {
    fail(effects, session, Fault::bad_name, {});
    return effects;
  }
  const std::uint32_t known = std::max(registration.known, registration.generation);
  if (known > DirectoryRecord::max_generation) {
    fail(effects, session, Fault::epoch_out_of_range, registration.name);
    return effects;
  }
  const bool foreign = !registration.record.empty() && registration.record != record_.identity();
  if (foreign || known > record_.last()) learn(known, effects);
  if (const auto present = sessions_.find(session); present != sessions_.end()) {
    if (present->second.name == registration.name) {
      present->second.watches.clear();
      present->second.renew(now + lease_);
      return effects;
    }
    end(session, SessionEnded::Why::superseded, effects);
  }
  const auto rival = names_.find(registration.name);
  if (!may_hold(session, registration, now, effects)) return effects;
  if (rival == names_.end() && sessions_.size() >= max_sessions) {
    fail(effects, session, Fault::too_many_sessions, registration.name);
    return effects;
  }
  // A generation of this record that the lost one may have granted too is replaced.
  const bool keeps =
      registration.generation != 0 && (foreign || registration.generation > record_.floor());
  const auto granted = keeps ? registration.generation : record_.next();
  const auto kept = granted && !registration.identity.empty()
                        ? record_.set_holder(registration.name, registration.identity)
                        : base::Status();
  if (!granted || !kept) {
    fail(effects, session, Fault::no_generation, granted ? kept.error() : granted.error());
    return effects;
  }
  if (rival != names_.end()) {
    end(SessionId(rival->second), SessionEnded::Why::superseded, effects);
  }
  sessions_.emplace(session, Session{.name = registration.name,
                                     .generation = *granted,
                                     .granted_since = !keeps || !foreign,
                                     .identity = registration.identity,
                                     .deadline = now + lease_});
  names_.emplace(registration.name, session);
  return effects;
}

// Whether the process may have the name; if not, `effects` has the refusal.
bool Registry::may_hold(const SessionId& session, const Registration& registration,
                        base::TimePoint now, Effects& effects) const {
  const auto rival = names_.find(registration.name);
  if (rival == names_.end()) {
    const std::string before = record_.holder(registration.name);
    if (before.empty() || before == registration.identity || now >= holders_return_until_)
      return true;
    fail(effects, session, Fault::name_taken, registration.name);
    return false;
  }
  const Session& present = sessions_.at(rival->second);
  if (!present.identity.empty()) {
    if (present.identity == registration.identity || present.resigned) return true;
    fail(effects, session, Fault::name_taken, registration.name);
    return false;
  }
  if (registration.generation == 0 ||
      std::tie(registration.generation, session) > std::tie(present.generation, rival->second)) {
    return true;
  }
  fail(effects, session, Fault::superseded, registration.name);
  return false;
}

// A process knows numbers up to `known` that are not of this record. Numbers up to `known` that
// this record has granted may have been granted twice.
void Registry::learn(std::uint32_t known, Effects& effects) {
  record_.raise_floor(known);
  if (version_ < version_of(known + 1)) {
    const auto own = record_.next();
    version_ = version_of(own ? *own : known + 1);
    for (auto& [key, entry] : entries_) {  // a watcher ignores an equal version
      if (!entry.leased) {
        staged_.try_emplace(key, Staged{.entry = entry, .asked = false});
        continue;
      }
      entry.version = ++version_;
      tell({key, entry.value, entry.version}, effects);
    }
    for (auto& [key, change] : staged_) change.entry.version = ++version_;
  }
  std::vector<SessionId> lost;
  for (auto& [id, session] : sessions_) {
    if (!session.granted_since || session.generation > known) continue;
    if (const auto generation = record_.next()) {
      session.generation = *generation;
      effects.messages.push_back({id, Renewed{*generation}});
    } else {
      lost.push_back(id);
    }
  }
  for (const SessionId& id : lost) end(id, SessionEnded::Why::dropped, effects);
}

}  // namespace canopy::cluster
