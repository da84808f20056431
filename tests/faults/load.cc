#include "tests/faults/load.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "client/directory.h"
#include "loadtest/measure/clock.h"

namespace canopy::faults {

namespace {

using measure::now_ns;
using std::chrono::duration_cast;

constexpr std::string_view none = "-";

const char* outcome(const client::Answer& answer) {
  if (answer.ok()) return "ok";
  // A write with a retriable fault may have been applied.
  constexpr unsigned first_retriable = 32;
  const auto replayed = static_cast<unsigned>(wire::Fault::replayed);
  return answer.number >= first_retriable || answer.number == replayed ? "unknown" : "refused";
}

const char* name_of(const std::string& subtree) { return subtree.empty() ? "*" : subtree.c_str(); }

}  // namespace

client::Settings settings(const std::vector<std::string>& proxies, std::uint64_t seed) {
  client::Settings made{.client = measure::random_client_id(), .name = "faults", .seed = seed};
  for (const std::string& proxy : proxies) {
    if (const auto target = client::target_at(proxy)) made.proxies.push_back(*target);
  }
  return made;
}

// --- Record -----------------------------------------------------------------------------------

Record::Record(const Load& load)
    : load_(load), keys_(load.partitions.size()), revisions_(load.partitions.size()) {
  for (std::size_t i = 0; i < load.keys; ++i) {
    const std::size_t partition = i % load.partitions.size();
    const std::string& subtree = load.partitions[partition];
    keys_[partition].push_back((subtree.empty() ? "/" : subtree) + "k" + std::to_string(i));
  }
}

std::uint64_t Record::current(const std::string& key) const {
  const auto found = latest_.find(key);
  return found == latest_.end() || found->second.deleted ? 0 : found->second.revision.value();
}

void Record::written(const std::string& key, keyspace::Revision revision, bool deleted) {
  Latest& latest = latest_[key];
  if (revision > latest.revision) latest = {revision, deleted};
}

void Record::seen(const client::Change& change, std::size_t watcher) {
  const std::size_t partition = partition_of(load_.partitions, change.key);
  Entry entry{std::string(change.key), std::string(change.value)};
  const auto print = [&](const char* value) {
    std::printf("seen %" PRId64 " %s %s %" PRIu64 " %s\n", now_ns(),
                name_of(load_.partitions[partition]), entry.key.c_str(), change.revision.value(),
                value);
  };
  if (change.deleted) {
    const Latest latest = latest_[entry.key];
    if (latest.revision < change.revision || !latest.deleted) print("-");
    return written(entry.key, change.revision, true);
  }
  written(entry.key, change.revision, false);
  const auto [at, is_new] = revisions_[partition].try_emplace(change.revision.value(), entry);
  if (is_new) return print(entry.value.c_str());
  if (at->second == entry) return;
  found({"received as " + entry.value + ", earlier as " + at->second.key + " " + at->second.value,
         {},
         entry.key,
         change.revision},
        watcher);
}

void Record::found(const Observation::Finding& finding, std::size_t watcher) {
  if (!finding.hole) {
    std::printf("breach %" PRId64 " %zu %s %" PRIu64 " %s\n", now_ns(), watcher,
                finding.key.c_str(), finding.revision.value(), finding.what.c_str());
  } else if (holes_.insert(*finding.hole).second) {
    std::printf("hole %" PRId64 " %zu %s %" PRIu64 " %" PRIu64 "\n", now_ns(), watcher,
                name_of(load_.partitions[finding.hole->partition]), finding.hole->first.value(),
                finding.hole->last.value());
  }
}

// --- Writer -----------------------------------------------------------------------------------

Writer::Writer(const Load& load, std::size_t index, Record& record, net::Connections& server)
    : SessionClient(server, settings(load.proxies, load.seed + index)),
      load_(load),
      index_(index),
      record_(record),
      random_(load.seed * 1000 + index) {}

const std::string& Writer::some_key() {
  const auto& keys = record_.keys(random_() % record_.partitions().size());
  return keys[random_() % keys.size()];
}

void Writer::add(const std::string& key, bool deletes, std::optional<std::uint64_t> if_revision) {
  wire::Write write;
  write.key = key;
  write.deletes = deletes;
  if (!deletes) {
    write.value = std::to_string(index_) + "." + std::to_string(number_) + "." +
                  std::to_string(writes_.size());
  }
  if (if_revision) write.if_revision = keyspace::Revision(*if_revision);
  writes_.push_back(std::move(write));
}

void Writer::choose() {
  const std::string& key = some_key();
  const std::uint64_t current = record_.current(key);
  const auto draw = random_() % 100;
  writes_.clear();
  if (draw < 50) {
    kind_ = "put";
    add(key, false, std::nullopt);
  } else if (draw < 65) {
    kind_ = "delete";
    add(key, true, draw < 60 ? std::optional(current) : std::nullopt);
  } else if (draw < 80) {
    kind_ = "if_revision";
    add(key, false, current);
  } else if (draw < 84) {
    kind_ = "if_absent";
    add(key, false, 0);
  } else {
    kind_ = "batch";
    const auto& keys = record_.keys(partition_of(record_.partitions(), key));
    const std::size_t first = random_() % keys.size();
    const std::size_t count = std::min<std::size_t>(2 + random_() % 3, keys.size());
    for (std::size_t i = 0; i < count; ++i) {
      add(keys[(first + i) % keys.size()], random_() % 5 == 0, std::nullopt);
    }
  }
}

void Writer::write() {
  if (finishing_) return;
  ++number_;
  open_ = true;
  key_.clear();
  if (random_() % 20 == 0) return read(some_key());
  choose();
  called_ = now_ns();
  session().write(number_, writes_, loop().now(), load_.timeout);
}

void Writer::read(const std::string& key) {
  key_ = key;
  called_ = now_ns();
  session().get(number_, key, loop().now(), load_.timeout);
}

void Writer::answered(client::CallId, client::Answer answer) {
  const std::int64_t now = now_ns();
  open_ = false;
  if (!key_.empty()) {
    const bool found = !answer.entries.empty();
    if (answer.ok()) {
      std::printf("read %zu %" PRId64 " %" PRId64 " %s %" PRIu64 " %s\n", index_, called_, now,
                  key_.c_str(), found ? answer.entries[0].revision.value() : 0,
                  found ? answer.entries[0].value.c_str() : "-");
    }
    return next();
  }
  std::printf("op %zu %" PRIu64 " %" PRId64 " %" PRId64 " %s %u %" PRIu64 " %s", index_, number_,
              called_, now, outcome(answer), answer.number, answer.revision.value(), kind_);
  std::uint64_t revision = answer.revision.value() - writes_.size();
  for (const wire::Write& write : writes_) {
    const auto condition =
        write.if_revision ? std::to_string(write.if_revision->value()) : std::string(none);
    std::printf(" %s %s %s", write.key.c_str(), condition.c_str(),
                write.deletes ? "-" : write.value.c_str());
    ++revision;
    if (answer.ok()) record_.written(write.key, keyspace::Revision(revision), write.deletes);
  }
  std::printf("\n");
  next();
}

void Writer::next() {
  const std::chrono::duration<double> period(static_cast<double>(load_.writers) / load_.rate);
  const std::chrono::nanoseconds taken(now_ns() - called_);
  // Jitter, so that writers do not send at the same time.
  const double share = 0.5 + static_cast<double>(random_() % 1000) / 1000;
  const auto pause = duration_cast<base::Duration>(period * share - taken);
  loop().after(std::max(pause, base::Duration(0)), [this] { write(); });
}

// --- Watcher ----------------------------------------------------------------------------------

Watcher::Watcher(const Load& load, std::size_t index, Record& record, net::Connections& server)
    : SessionClient(server, settings(load.proxies, load.seed + 100'000 + index)),
      index_(index),
      every_(index % 10 != 9),
      record_(record),
      observation_(record.partitions(), every_, load.strict) {}

void Watcher::watch() {
  session().watch(1, {.subtree = "", .latest_ms = every_ ? 0u : 100u, .lz4 = index_ % 10 == 8},
                  loop().now());
}

void Watcher::changed(client::WatchId, const client::Change& change) {
  const base::TimePoint now = loop().now();
  observation_.changed(change, now);
  record_.seen(change, index_);
  for (const auto& each : observation_.findings(now)) record_.found(each, index_);
}

void Watcher::synced(client::WatchId, const client::Synced&) {
  observation_.interrupted();
  ++syncs_;
}

void Watcher::missed(client::WatchId, std::optional<std::uint64_t>) {
  observation_.interrupted();
  ++gaps_;
}

void Watcher::refused(client::WatchId, const client::Answer& why) {
  std::printf("breach %" PRId64 " %zu - 0 the watch is refused: %s\n", now_ns(), index_,
              why.text.c_str());
}

void Watcher::sum_up() {
  const auto rest = observation_.findings(base::TimePoint::max());
  for (const auto& each : rest) record_.found(each, index_);
  std::printf("watcher %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", index_,
              observation_.live_changes(), syncs_, gaps_, observation_.takeovers());
}

// --- Reader -----------------------------------------------------------------------------------

void Reader::ask() {
  asking_ = true;
  session().list(++call_, "", loop().now(), std::chrono::seconds(5));
}

void Reader::answered(client::CallId, client::Answer answer) {
  asking_ = false;
  map_.reset();
  if (!answer.ok()) return;
  map_.emplace();
  for (auto& entry : answer.entries) {
    map_->emplace(std::move(entry.key), Observation::Held{entry.revision, std::move(entry.value)});
  }
}

}  // namespace canopy::faults
