// Keys without a lease: compared, staged, stored, and only then reported.
#include <utility>

#include "core/cluster/registry.h"
#include "core/keyspace/key.h"

namespace canopy::cluster {

bool Registry::room_for(const SessionId& session, const std::string& key, const std::string& value,
                        Effects& effects) const {
  const auto present = entries_.find(key);
  const bool absent = present == entries_.end();
  const std::size_t others = value_bytes_ - (absent ? 0 : present->second.value.size());
  if (key.empty() ||
      keyspace::check_prefix(key, max_directory_key_bytes) != keyspace::KeyFault::none) {
    fail(effects, session, Fault::bad_key, {});
  } else if (value.size() > max_directory_value_bytes) {
    fail(effects, session, Fault::value_too_long, key);
  } else if ((absent && entries_.size() + staged_.size() >= max_directory_keys) ||
             others + value.size() > max_directory_bytes) {
    fail(effects, session, Fault::too_many_keys, key);
  } else {
    return true;
  }
  return false;
}

Effects Registry::compare_and_set(const SessionId& session, std::uint64_t request,
                                  const std::string& key, const std::string& value,
                                  std::uint64_t expected, base::TimePoint now) {
  Effects effects;
  if (find(session, now, effects) == nullptr) return effects;
  const auto is_repeated = [&](const Entry& entry) {
    return entry.session == session && entry.request == request;
  };
  bool swapped = false;
  if (room_for(session, key, value, effects)) {
    const auto present = entries_.find(key);
    const bool absent = present == entries_.end();
    const auto staged = staged_.find(key);
    if (!absent && present->second.leased) {
      fail(effects, session, Fault::key_taken, key);
    } else if (staged != staged_.end() && staged->second.asked) {
      if (is_repeated(staged->second.entry)) return effects;  // answered by commit()
      // Else refused: no session knows the staged version.
    } else if (!absent && is_repeated(present->second)) {
      swapped = true;  // the reply was lost on the way
    } else if ((absent ? 0 : present->second.version) == expected) {
      staged_[key] = {.entry = {.value = value,
                                .version = ++version_,
                                .session = session,
                                .request = request,
                                .leased = false},
                      .asked = true};
      return effects;
    }
  }
  effects.messages.push_back({session, Swapped{request, swapped}});
  return effects;
}

void Registry::stage(const std::string& key, const std::string& value) {
  staged_[key] = {.entry = {.value = value, .version = ++version_, .leased = false}};
}

Effects Registry::mirror(const std::string& key, const std::optional<std::string>& value) {
  Effects effects;
  if (value) {
    set(key, {.value = *value}, effects);
  } else if (entries_.contains(key)) {
    erase(key, effects);
  }
  return effects;
}

Effects Registry::notify(const std::string& key, const std::string& value) {
  Effects effects;
  tell({key, value, ++version_}, effects);
  return effects;
}

Effects Registry::commit() {
  Effects effects;
  if (staged_.empty()) return effects;
  const auto staged = std::exchange(staged_, {});
  DirectoryRecord::Entries changed;
  for (const auto& [key, change] : staged) {
    const Entry& entry = change.entry;
    changed[key] = {entry.value, entry.version, entry.session, entry.request};
  }
  const auto kept = record_.keep_entries(changed);
  for (const auto& [key, change] : staged) {
    const Entry& entry = change.entry;
    if (kept) set(key, entry, effects);
    if (!change.asked) continue;
    if (kept) {
      effects.messages.push_back({entry.session, Swapped{entry.request, true}});
    } else {
      fail(effects, entry.session, Fault::not_kept, kept.error());
    }
  }
  return effects;
}

}  // namespace canopy::cluster
