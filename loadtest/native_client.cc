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

// What a session does first, without doing it.
class Rehearsal final : private client::Network, private client::Events {
 public:
  std::string first_choice(const client::Settings& settings) {
    client::Session session(settings, *this, *this);
    session.start({});
    return chosen_;
  }

 private:
  void connect(const client::Target& target) override { chosen_ = target.name; }
  void disconnect() override {}
  void subscribe(std::string_view) override {}
  void unsubscribe(std::string_view) override {}
  void send(std::string) override {}
  void ask_broker(const std::string&, std::string) override {}
  void leave_broker() override {}
  void changed(client::WatchId, const client::Change&) override {}
  void synced(client::WatchId, const client::Synced&) override {}
  void missed(client::WatchId, std::optional<std::uint64_t>) override {}
  void refused(client::WatchId, const client::Answer&) override {}
  void contact(bool) override {}
  void answered(client::CallId, client::Answer) override {}

  std::string chosen_;
};

}  // namespace

// A session chooses by chance, which its seed decides. Everything else about it stays as it is for
// any user.
client::Settings native_settings(const Target& target, std::uint64_t run, std::uint32_t id,
                                 std::uint32_t life) {
  client::Settings settings;
  settings.proxies = target.natives;
  settings.client.resize(16);
  std::memcpy(settings.client.data(), &run, 8);
  std::memcpy(settings.client.data() + 8, &id, 4);
  std::memcpy(settings.client.data() + 12, &life, 4);
  const std::size_t count = settings.proxies.size();
  const std::string& wanted = settings.proxies[id % count].name;
  settings.seed = run + (std::uint64_t{id} << 32) + (std::uint64_t{life} << 16);
  for (std::size_t tried = 0; tried < 32 * count; ++tried, ++settings.seed) {
    if (Rehearsal().first_choice(settings) == wanted) break;
  }
  return settings;
}

NativeClient::NativeClient(std::uint32_t id, std::uint32_t tag, Workplace& place)
    : Participant(id, tag, place),
      run_(payload::run_of(place.run)),
      link_(place.context, place.target.keys, place.poll, tag, place.options.hwm, place.message) {}

base::Status NativeClient::join(std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();
  written_ = place_.board.read();
  client::Events& events = *this;
  session_ = std::make_unique<client::Session>(
      native_settings(place_.target, place_.run, id_, life_), link_, events);
  session_->start(at(now));
  session_->watch(the_watch, {.subtree = place_.layout.watched_by(id_)}, at(now));
  return {};
}

void NativeClient::read(std::uint32_t slot) {
  if (session_) link_.read(slot, *session_);
}

void NativeClient::tick(std::int64_t now) {
  if (session_) session_->tick(at(now));
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
  session_->write(counter_, std::move(writes), at(now), write_timeout);
  return true;
}

void NativeClient::leave() {
  state_ = State::outside;
  ++life_;
  session_->close();
  session_.reset();
}

void NativeClient::conclude(Faults& faults, Told& told) const {
  Participant::conclude(faults, told);
  faults.misapplied += own_.misapplied();
  told.overtaken += ledger_.overtaken();
  if (link_.writes() > counter_) told.repeats += link_.writes() - counter_;
}

void NativeClient::changed(client::WatchId, const client::Change& change) {
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
  Recorder& recorder = place_.recorder;
  switch (synced.how) {
    case client::Synced::How::changes: ++recorder.told.by_changes; return;
    case client::Synced::How::full: ++recorder.told.by_full; return;
    case client::Synced::How::snapshot: break;
  }
  ++recorder.told.snapshots;
  ledger_.complete(written_, place_.layout.visible_to(id_));
  written_ = {};
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
