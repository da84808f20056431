// Which process registers under a name, and what a registry does that has lost its record.
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

Effects Registry::hello(const SessionId& session, const Claim& claim, base::TimePoint now) {
  Effects effects;
  if (!is_name(claim.name) || !is_printable(claim.identity) || !is_printable(claim.record)) {
    fail(effects, session, Fault::bad_name, {});
    return effects;
  }
  const std::uint32_t known = std::max(claim.known, claim.generation);
  if (known > DirectoryRecord::max_generation) {
    fail(effects, session, Fault::epoch_out_of_range, claim.name);
    return effects;
  }
  const bool foreign = !claim.record.empty() && claim.record != record_.identity();
  if (foreign || known > record_.last()) learn(known, effects);
  if (const auto present = sessions_.find(session); present != sessions_.end()) {
    if (present->second.name == claim.name) {
      present->second.watches.clear();
      present->second.renew(now + lease_);
      return effects;
    }
    end(session, SessionEnded::Why::superseded, effects);
  }
  const auto rival = names_.find(claim.name);
  if (!may_hold(session, claim, now, effects)) return effects;
  if (rival == names_.end() && sessions_.size() >= max_sessions) {
    fail(effects, session, Fault::too_many_sessions, claim.name);
    return effects;
  }
  // A generation of this record that the lost one may have granted too is replaced.
  const bool keeps = claim.generation != 0 && (foreign || claim.generation > record_.floor());
  const auto granted = keeps ? claim.generation : record_.next();
  const auto kept = granted && !claim.identity.empty()
                        ? record_.set_holder(claim.name, claim.identity)
                        : base::Status();
  if (!granted || !kept) {
    fail(effects, session, Fault::no_generation, granted ? kept.error() : granted.error());
    return effects;
  }
  if (rival != names_.end()) {
    end(SessionId(rival->second), SessionEnded::Why::superseded, effects);
  }
  sessions_.emplace(session, Session{.name = claim.name,
                                     .generation = *granted,
                                     .granted_since = !keeps || !foreign,
                                     .identity = claim.identity,
                                     .deadline = now + lease_});
  names_.emplace(claim.name, session);
  return effects;
}

// Whether the name goes to this process; if not, it is told.
bool Registry::may_hold(const SessionId& session, const Claim& claim, base::TimePoint now,
                        Effects& effects) const {
  const auto rival = names_.find(claim.name);
  if (rival == names_.end()) {
    const std::string before = record_.holder(claim.name);
    if (before.empty() || before == claim.identity || now >= holders_return_until_) return true;
    fail(effects, session, Fault::name_taken, claim.name);
    return false;
  }
  const Session& present = sessions_.at(rival->second);
  if (!present.identity.empty()) {
    if (present.identity == claim.identity || present.resigned) return true;
    fail(effects, session, Fault::name_taken, claim.name);
    return false;
  }
  if (claim.generation == 0 ||
      std::tie(claim.generation, session) > std::tie(present.generation, rival->second)) {
    return true;
  }
  fail(effects, session, Fault::superseded, claim.name);
  return false;
}

// A member knows of numbers up to `known` that are not of this record. What was granted since the
// record began may have been granted before, as far as it is not above them.
void Registry::learn(std::uint32_t known, Effects& effects) {
  record_.raise_floor(known);
  if (version_ < version_of(known + 1)) {
    const auto own = record_.next();
    version_ = version_of(own ? *own : known + 1);
    for (auto& [key, entry] : entries_) {  // a member takes an equal version for no change
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
      effects.letters.push_back({id, Renewed{*generation}});
    } else {
      lost.push_back(id);
    }
  }
  for (const SessionId& id : lost) end(id, SessionEnded::Why::dropped, effects);
}

}  // namespace canopy::cluster
