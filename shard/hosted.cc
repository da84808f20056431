#include "shard/hosted.h"

#include <numeric>
#include <utility>

#include "core/base/log.h"
#include "core/keyspace/key.h"

namespace canopy::shard {

using cluster::Replica;
using keyspace::LogEntry;
using wire::Fault;
namespace log = base::log;

namespace {

std::size_t bytes_of(const std::vector<LogEntry>& entries) {
  return std::accumulate(entries.begin(), entries.end(), std::size_t{0},
                         [](std::size_t bytes, const LogEntry& entry) {
                           return bytes + entry.update->encoded().size();
                         });
}

}  // namespace

Hosted::Hosted(Settings settings, Replica::Recovered recovered, Surroundings& surroundings,
               base::TimePoint now)
    : settings_(std::move(settings)),
      surroundings_(surroundings),
      replica_(settings_.replica, std::move(recovered), now) {}

std::string Hosted::state(base::TimePoint now) const {
  if (serves(now)) return full_.empty() ? "serving" : "full: " + full_;
  if (!trouble_.empty()) return "waiting: " + trouble_;
  const auto& record = replica_.record();
  if (record && record->leader != settings_.replica.self) {
    return "following " + record->leader.shard;
  }
  return "loading";
}

std::string Hosted::trouble(base::TimePoint now) const {
  if (serves(now) && full_.empty()) return trouble_;
  const std::string current = state(now);
  return current.starts_with("following ") ? "" : current;
}

template <typename Call>
void Hosted::run(base::TimePoint now, Call&& call) {
  Replica::Effects effects;
  call(effects);
  carry_out(effects, now);
}

void Hosted::carry_out(Replica::Effects& effects, base::TimePoint now) {
  while (!effects.store.empty() && !settings_.disk) {  // in memory, operations are stored at once
    const std::uint64_t sequence = effects.store.back().sequence;
    effects.store.clear();
    replica_.stored(sequence, now, effects);
  }
  if (!effects.store.empty()) surroundings_.store(*this, std::move(effects.store));
  if (effects.proposal) surroundings_.propose(*this, *effects.proposal);
  for (const Replica::Message& message : effects.messages) {
    surroundings_.send(message.to, message.body);
  }
  if (!effects.committed.empty()) commit(effects.committed, now);
  for (Replica::SplitOff& part : effects.split_off) surroundings_.split(*this, std::move(part));
  serve_or_stop(now);
}

// A new leader does not publish entries of earlier epochs: proxies notice the new lineage and sync.
void Hosted::commit(const std::vector<LogEntry>& entries, base::TimePoint now) {
  commits_.updates += entries.size();
  while (!proposed_.empty() && proposed_.front().first <= replica_.committed()) {
    commits_.took = std::max(commits_.took, now - proposed_.front().second);
    proposed_.pop_front();
  }
  if (!partition_) return;
  uncommitted_bytes_ -= std::min(uncommitted_bytes_, bytes_of(entries));
  Partition::Committed committed = partition_->commit(entries, now);
  for (const wire::Batch& batch : committed.batches) {
    published_ = now;
    surroundings_.publish(*this, batch);
  }
  for (Reply& reply : committed.replies) surroundings_.answer(std::move(reply));
}

void Hosted::serve_or_stop(base::TimePoint now) {
  const bool leads = replica_.leads(now);
  const bool ready = leads && replica_.committed().epoch() == replica_.epoch();
  if (partition_ && replica_.epoch() != serving_epoch_) {
    for (Reply& reply : partition_->withdraw()) surroundings_.answer(std::move(reply));
    partition_.reset();
    proposed_.clear();
  }
  if (ready && !partition_) {
    serving_epoch_ = replica_.epoch();
    uncommitted_bytes_ = 0;
    partition_.emplace(Partition::Settings{.subtree = subtree(),
                                           .retain = settings_.replica.retain,
                                           .max_state_bytes = settings_.max_state_bytes},
                       replica_, settings_.recent);
    partition_->set_low(low_);
    published_ = now;
    surroundings_.publish(*this, partition_->heartbeat(now));
  }
  trouble_ = replica_.trouble(now);
  if (partition_) {
    partition_->refuse_new(trouble_.empty()             ? Fault::none
                           : !replica_.enough_in_sync() ? Fault::too_few_replicas
                                                        : Fault::partition_unavailable);
  }
  full_ = partition_ ? partition_->full() : "";
  if (std::string now_state = state(now); now_state != announced_) {
    announced_ = std::move(now_state);
    log::info("shard", announced_,
              {{"partition", keyspace::shown(subtree())},
               {"epoch", replica_.epoch()},
               {"keys", replica_.tree().size()}});
    surroundings_.changed(*this);
  }
}

void Hosted::on_record(const std::optional<cluster::PartitionRecord>& record, std::uint64_t version,
                       base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_record(record, version, now, out); });
}

void Hosted::proposed(bool taken, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_proposed(taken, now, out); });
}

void Hosted::on_shards(const std::set<std::string>& alive, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_shards(alive, now, out); });
}

void Hosted::on_deadline(std::optional<base::TimePoint> deadline, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_deadline(deadline, now, out); });
}

void Hosted::create(Replica::Origin origin, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.create(std::move(origin), now, out); });
}

void Hosted::stored(std::uint64_t sequence, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.stored(sequence, now, out); });
}

void Hosted::set_low(const std::string& why, base::TimePoint now) {
  low_ = why;
  if (partition_) partition_->set_low(why);
  serve_or_stop(now);
}

void Hosted::on_link(const std::string& shard, bool up, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_link(shard, up, now, out); });
}

void Hosted::on_follower_gone(const std::string& shard, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_follower_gone(shard, now, out); });
}

void Hosted::on_message(const std::string& from, const wire::ToLeader& message,
                        base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_message(from, message, now, out); });
}

void Hosted::on_message(const std::string& from, wire::ToFollower message, base::TimePoint now) {
  run(now, [&](auto& out) { replica_.on_message(from, std::move(message), now, out); });
}

Partition::Staged Hosted::on_request(ProxyId proxy, wire::RoutedRequest&& routed,
                                     base::TimePoint now) {
  const auto refuse = [&](Fault fault) {
    surroundings_.answer(Reply::to(proxy, routed, {fault}));
    return Partition::Staged{.fault = fault};
  };
  if (!serves(now)) return refuse(Fault::partition_unavailable);
  if (uncommitted_bytes_ > max_uncommitted_bytes) return refuse(Fault::busy);
  return partition_->stage(proxy, std::move(routed), now);
}

void Hosted::end_turn(base::TimePoint now) {
  if (!serves(now)) return;
  partition_->expire(now);
  if (replica_.record()) partition_->split(replica_.record()->splits);
  if (partition_->staged()) propose(now);
  commit({}, now);  // sends replies that wait for no commit
}

void Hosted::propose(base::TimePoint now) {
  std::vector<LogEntry> entries = partition_->take_staged();
  uncommitted_bytes_ += bytes_of(entries);
  proposed_.emplace_back(entries.back().update->revision, now);
  run(now, [&](auto& out) { replica_.propose(std::move(entries), now, out); });
}

void Hosted::tick(base::TimePoint now) {
  run(now, [&](auto& out) { replica_.tick(now, out); });
  if (!serves(now) || now - published_ < heartbeat_period) return;
  published_ = now;
  surroundings_.publish(*this, partition_->heartbeat(now));
}

void Hosted::accept_loss(base::TimePoint now) {
  run(now, [&](auto& out) { replica_.accept_loss(now, out); });
}

}  // namespace canopy::shard
