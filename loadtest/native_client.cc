#include "loadtest/native_client.h"

#include <cstring>

#include "loadtest/machine.h"
#include "loadtest/payload.h"

namespace canopy::loadtest {
namespace {

constexpr client::WatchId the_watch = 1;
// Updates of one client that wait for an answer, before it skips its turn.
constexpr std::size_t max_unanswered = 64;
// Less than what a worker gets to answer that it has stopped, which waits for these.
constexpr base::Duration write_timeout = std::chrono::seconds(20);

base::TimePoint at(std::int64_t us) { return base::TimePoint(base::Duration(us)); }

}  // namespace

client::Settings native_settings(const Target& target, std::uint64_t run, std::uint32_t id,
                                 std::uint32_t life) {
  client::Settings settings;
  settings.proxies = target.natives;
  settings.client.resize(16);
  std::memcpy(settings.client.data(), &run, 8);
  std::memcpy(settings.client.data() + 8, &id, 4);
  std::memcpy(settings.client.data() + 12, &life, 4);
  settings.name = "canopy-loadtest";
  settings.first = settings.proxies[id % settings.proxies.size()].name;
  settings.seed = run + (std::uint64_t{id} << 32) + (std::uint64_t{life} << 16);
  return settings;
}

NativeClient::NativeClient(std::uint32_t id, std::uint32_t tag, Workplace& place)
    : Participant(id, tag, place), run_(payload::run_of(place.run)) {}

base::Status NativeClient::join(std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();
  written_ = place_.board.read();
  client::Events& events = *this;
  engine_ = std::make_unique<Engine>(place_, native_settings(place_.target, place_.run, id_, life_),
                                     events);
  engine_->session.start(at(now));
  engine_->session.watch(the_watch, {.subtree = place_.layout.watched_by(id_)}, at(now));
  return {};
}

void NativeClient::tick(std::int64_t now) {
  if (engine_) engine_->session.tick(at(now));
}

bool NativeClient::publish() {
  if (own_.open() >= max_unanswered) return false;
  const std::int64_t now = now_us();
  wire::Write write{
      .key = place_.layout.key(id_),
      .value = std::string(static_cast<std::size_t>(place_.options.payload_bytes), '.')};
  ++counter_;
  payload::write(write.value, {.run = run_, .publisher = id_, .counter = counter_, .sent_us = now});
  own_.sent(counter_, now);
  std::vector<wire::Write> writes;
  writes.push_back(std::move(write));
  engine_->session.write(counter_, std::move(writes), at(now), write_timeout);
  return true;
}

void NativeClient::leave() {
  state_ = State::outside;
  ++life_;
  engine_->session.close();
  writes_sent_ += engine_->session.writes_sent();
  engine_.reset();
}

void NativeClient::conclude(Faults& faults, Told& told) const {
  Participant::conclude(faults, told);
  faults.misapplied += own_.misapplied();
  told.overtaken += ledger_.overtaken();
  const std::uint64_t sent = writes_sent_ + (engine_ ? engine_->session.writes_sent() : 0);
  if (sent > counter_) told.repeats += sent - counter_;
}

void NativeClient::changed(client::WatchId, const client::Change& change) {
  touch();
  const auto stamp = payload::read(change.value, run_);
  if (!stamp || change.deleted) return on_foreign(change);
  if (stamp->publisher >= place_.layout.writers() ||
      place_.layout.key(stamp->publisher) != change.key) {
    return ledger_.corrupted();
  }
  if (!place_.layout.visible_to(id_)[stamp->publisher]) return ledger_.unfiltered();
  if (stamp->publisher == id_ && publishes()) own_.seen(stamp->counter, change.revision);
  if (!change.live) return ledger_.catch_up(stamp->publisher, stamp->counter);
  ledger_.apply(stamp->publisher, stamp->counter);
  Recorder& recorder = place_.recorder;
  ++recorder.delivered;
  if (recorder.measuring) recorder.latency.record(now_us() - stamp->sent_us);
}

// Others may use the cluster at the same time, and may have used the keys of this run before, but
// do not now.
void NativeClient::on_foreign(const client::Change& change) {
  if (!change.key.starts_with(place_.layout.watched_by(id_))) return ledger_.unfiltered();
  if ((change.live || change.deleted) && place_.layout.owner(change.key)) ledger_.corrupted();
}

void NativeClient::synced(client::WatchId, const client::Synced& synced) {
  touch();
  Recorder& recorder = place_.recorder;
  switch (synced.how) {
    case client::Synced::How::changes: ++recorder.told.by_changes; return;
    case client::Synced::How::full: ++recorder.told.by_full; return;
    case client::Synced::How::snapshot: break;
  }
  ++recorder.told.snapshots;
  ledger_.complete(std::exchange(written_, {}));
  if (state_ != State::joining) return;
  state_ = State::joined;
  recorder.joined_us = now_us();
  recorder.join.record(recorder.joined_us - asked_us_);
}

void NativeClient::missed(client::WatchId, std::optional<std::uint64_t> updates) {
  Told& told = place_.recorder.told;
  ++told.gaps;
  if (updates) {
    told.missed += *updates;
  } else {
    ++told.uncounted;
  }
}

void NativeClient::refused(client::WatchId, const client::Answer&) { fail(); }

void NativeClient::contact(bool present) {
  if (!present) ++place_.recorder.told.losses;
}

void NativeClient::answered(client::CallId call, client::Answer answer) {
  touch();
  const auto counter = static_cast<std::uint32_t>(call);
  Recorder& recorder = place_.recorder;
  if (!answer.ok()) {
    ++(answer.number == client::timed_out || answer.number == client::closed
           ? recorder.told.unanswered
           : recorder.told.refused);
    return own_.failed(counter);
  }
  const std::int64_t took = own_.acknowledged(counter, answer.revision, now_us());
  if (recorder.measuring) recorder.write.record(took);
  place_.board.acknowledge(id_, counter);
}

}  // namespace canopy::loadtest
