#include "loadtest/native_client.h"

#include <cstring>

#include "loadtest/measure/clock.h"
#include "loadtest/measure/stamp.h"

namespace canopy::loadtest {
namespace {

constexpr client::WatchId the_watch = 1;
// A client with this many unanswered updates skips its turn to publish.
constexpr std::size_t max_unanswered = 64;
// Shorter than the time in which a worker must answer `stop`, which waits for the client's writes.
constexpr base::Duration write_timeout = std::chrono::seconds(20);

base::TimePoint at(std::int64_t us) { return base::TimePoint(base::Duration(us)); }

}  // namespace

client::Settings native_settings(const Target& target, std::uint64_t run, std::uint32_t id,
                                 std::uint32_t incarnation) {
  client::Settings settings;
  settings.proxies = target.natives;
  settings.client.resize(16);
  std::memcpy(settings.client.data(), &run, 8);
  std::memcpy(settings.client.data() + 8, &id, 4);
  std::memcpy(settings.client.data() + 12, &incarnation, 4);
  settings.name = "canopy-loadtest";
  settings.first = settings.proxies[id % settings.proxies.size()].name;
  settings.seed = run + (std::uint64_t{id} << 32) + (std::uint64_t{incarnation} << 16);
  return settings;
}

NativeClient::NativeClient(std::uint32_t id, std::uint32_t tag, Context& context)
    : LoadClient(id, tag, context), run_(measure::run_of(context.run)) {}

base::Status NativeClient::join(std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();
  written_ = context_.acks.read();
  client::Events& events = *this;
  engine_ = std::make_unique<Engine>(
      context_, native_settings(context_.target, context_.run, id_, incarnation_), events);
  engine_->session.start(at(now));
  engine_->session.watch(the_watch, {.subtree = context_.layout.watched_by(id_)}, at(now));
  return {};
}

void NativeClient::tick(std::int64_t now) {
  if (engine_) engine_->session.tick(at(now));
}

bool NativeClient::publish() {
  if (own_.open() >= max_unanswered) return false;
  const std::int64_t now = measure::now_us();
  wire::Write write{
      .key = context_.layout.key(id_),
      .value = std::string(static_cast<std::size_t>(context_.options.payload_bytes), '.')};
  ++counter_;
  measure::write_stamp(write.value.data(),
                       {.run = run_, .publisher = id_, .counter = counter_, .sent_us = now});
  own_.sent(counter_, now);
  std::vector<wire::Write> writes;
  writes.push_back(std::move(write));
  engine_->session.write(counter_, std::move(writes), at(now), write_timeout);
  return true;
}

void NativeClient::leave() {
  state_ = State::outside;
  ++incarnation_;
  engine_->session.close();
  writes_sent_ += engine_->session.writes_sent();
  engine_.reset();
}

void NativeClient::add_results(Faults& faults, ClientStats& stats) const {
  LoadClient::add_results(faults, stats);
  faults.misapplied += own_.misapplied();
  stats.overtaken += ledger_.overtaken();
  const std::uint64_t sent = writes_sent_ + (engine_ ? engine_->session.writes_sent() : 0);
  if (sent > counter_) stats.repeats += sent - counter_;
}

void NativeClient::changed(client::WatchId, const client::Change& change) {
  mark_received();
  const auto stamp = measure::read_stamp(change.value, run_);
  if (!stamp || change.deleted) return on_foreign(change);
  if (stamp->publisher >= context_.layout.writers() ||
      context_.layout.key(stamp->publisher) != change.key) {
    return ledger_.count_corrupted();
  }
  if (!context_.layout.visible_to(id_)[stamp->publisher]) return ledger_.count_unfiltered();
  if (stamp->publisher == id_ && publishes()) own_.seen(stamp->counter, change.revision);
  if (!change.live) return ledger_.on_catch_up(stamp->publisher, stamp->counter);
  ledger_.on_update(stamp->publisher, stamp->counter);
  Recorder& recorder = context_.recorder;
  ++recorder.delivered;
  if (recorder.measuring) recorder.latency.record(measure::now_us() - stamp->sent_us);
}

// Other programs may use the cluster at the same time, and may have written the keys of this run
// earlier, but do not write them now.
void NativeClient::on_foreign(const client::Change& change) {
  if (!change.key.starts_with(context_.layout.watched_by(id_))) return ledger_.count_unfiltered();
  if ((change.live || change.deleted) && context_.layout.owner(change.key))
    ledger_.count_corrupted();
}

void NativeClient::synced(client::WatchId, const client::Synced& synced) {
  mark_received();
  Recorder& recorder = context_.recorder;
  switch (synced.how) {
    case client::Synced::How::changes: ++recorder.stats.by_changes; return;
    case client::Synced::How::full: ++recorder.stats.by_full; return;
    case client::Synced::How::snapshot: break;
  }
  ++recorder.stats.snapshots;
  ledger_.on_synced(std::exchange(written_, {}));
  if (state_ != State::joining) return;
  state_ = State::joined;
  recorder.joined_us = measure::now_us();
  recorder.join.record(recorder.joined_us - asked_us_);
}

void NativeClient::missed(client::WatchId, std::optional<std::uint64_t> updates) {
  ClientStats& stats = context_.recorder.stats;
  ++stats.gaps;
  if (updates) {
    stats.missed += *updates;
  } else {
    ++stats.uncounted;
  }
}

void NativeClient::refused(client::WatchId, const client::Answer&) { fail(); }

void NativeClient::contact(bool present) {
  if (!present) ++context_.recorder.stats.losses;
}

void NativeClient::answered(client::CallId call, client::Answer answer) {
  mark_received();
  const auto counter = static_cast<std::uint32_t>(call);
  Recorder& recorder = context_.recorder;
  if (!answer.ok()) {
    ++(answer.number == client::timed_out || answer.number == client::closed
           ? recorder.stats.unanswered
           : recorder.stats.refused);
    return own_.failed(counter);
  }
  const std::int64_t took = own_.acknowledged(counter, answer.revision, measure::now_us());
  if (recorder.measuring) recorder.write.record(took);
  context_.acks.acknowledge(id_, counter);
}

}  // namespace canopy::loadtest
