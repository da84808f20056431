#include "loadtest/clone_client.h"

#include <array>

#include "loadtest/machine.h"
#include "loadtest/payload.h"

namespace canopy::loadtest {
namespace {

namespace clone = wire::clone;

// Updates read at one go before others get their turn, and between two looks at the clock.
constexpr int read_budget = 4096;
constexpr int clock_interval = 64;

std::size_t frame_count(clone::Dialect dialect) {
  return dialect == clone::Dialect::kvsimple ? 3 : 5;
}

// 16 bytes that no other update has.
std::array<char, 16> unique_id(std::uint64_t run, std::uint32_t publisher, std::uint32_t counter) {
  std::array<char, 16> uuid;
  std::memcpy(uuid.data(), &run, 8);
  std::memcpy(uuid.data() + 8, &publisher, 4);
  std::memcpy(uuid.data() + 12, &counter, 4);
  return uuid;
}

}  // namespace

CloneClient::CloneClient(std::uint32_t id, std::uint32_t tag, Workplace& place)
    : Participant(id, tag, place),
      dialect_(*place.options.dialect),
      run_(payload::run_of(place.run)) {}

base::Status CloneClient::join(std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();
  const auto& triples = place_.target.triples;
  if (auto connected = connect(triples[id_ % triples.size()]); !connected) return connected;
  place_.sockets.on_readable(*snapshot_, [this] {
    // A client that has given up reads no more of it.
    if (state_ != State::joining) return place_.sockets.remove(*snapshot_);
    read_snapshot();
    touch();
  });
  return {};
}

base::Status CloneClient::connect(const coordination::Triple& triple) {
  // In the order of the guide's clients: all three connect, then the request is sent.
  const std::string& prefix = place_.layout.watched_by(id_);
  const ZmqOptions options{.hwm = place_.options.hwm, .keys = place_.target.keys};
  snapshot_.emplace(place_.context, zmq::socket_type::dealer, options);
  updates_.emplace(place_.context, zmq::socket_type::sub, options);
  updates_->subscribe(prefix);
  auto lingering = options;
  lingering.linger = std::chrono::seconds(2);
  collector_.emplace(
      place_.context,
      dialect_ == clone::Dialect::chp ? zmq::socket_type::pub : zmq::socket_type::push, lingering);
  if (auto connected = snapshot_->connect(triple.snapshot); !connected) return connected;
  if (auto connected = updates_->connect(triple.updates); !connected) return connected;
  if (auto connected = collector_->connect(triple.collector); !connected) return connected;
  snapshot_->send({clone::snapshot_request, prefix});
  return {};
}

void CloneClient::read_snapshot() {
  ZmqMessage& message = place_.message;
  while (snapshot_->receive(message)) {
    if (message.size() != frame_count(dialect_)) {
      ledger_.corrupted();
    } else if (message[0] != clone::snapshot_end) {
      on_entry(message);
    } else {
      const auto sequence = clone::parse_sequence(message[1]);
      if (const auto* cut = std::get_if<std::int64_t>(&sequence)) {
        ledger_.cut(*cut);
      } else {
        ledger_.corrupted();
      }
      state_ = State::joined;
      place_.recorder.joined_us = now_us();
      place_.recorder.join.record(place_.recorder.joined_us - asked_us_);
      place_.sockets.remove(*snapshot_);
      return place_.sockets.on_readable(*updates_, [this] {
        read_updates();
        touch();
      });
    }
  }
}

void CloneClient::on_entry(const ZmqMessage& message) {
  const auto stamp = payload::read(message[message.size() - 1], run_);
  if (!stamp) return;
  if (stamp->publisher >= place_.layout.writers() ||
      place_.layout.key(stamp->publisher) != message[0]) {
    ledger_.corrupted();
  } else {
    ledger_.floor(stamp->publisher, stamp->counter);
  }
}

void CloneClient::read_updates() {
  std::int64_t now = now_us();
  for (int read = 1; updates_->receive(place_.message); ++read) {
    on_update(place_.message, now);
    if (read == read_budget) return;
    if (read % clock_interval == 0) now = now_us();
  }
}

void CloneClient::on_update(const ZmqMessage& message, std::int64_t& now) {
  const std::size_t size = message.size();
  if (size != frame_count(dialect_)) {
    ledger_.corrupted();
    return;
  }
  const std::string_view key = message[0];
  if (dialect_ == clone::Dialect::chp && key == clone::heartbeat) return;
  const auto sequence = clone::parse_sequence(message[1]);
  const auto* number = std::get_if<std::int64_t>(&sequence);
  if (number == nullptr) {
    ledger_.corrupted();
    return;
  }
  if (!ledger_.accept(*number)) return;
  const auto stamp = payload::read(message[size - 1], run_);
  if (!stamp) return on_foreign(key);
  if (stamp->publisher >= place_.layout.writers() || place_.layout.key(stamp->publisher) != key) {
    ledger_.corrupted();
    return;
  }
  if (!place_.layout.visible_to(id_)[stamp->publisher]) return ledger_.unfiltered();
  ledger_.apply(stamp->publisher, stamp->counter);
  Recorder& recorder = place_.recorder;
  ++recorder.delivered;
  if (!recorder.measuring) return;
  if (now < stamp->sent_us) now = now_us();  // sent since the last look at the clock
  recorder.latency.record(now - stamp->sent_us);
}

// Others may use the cluster at the same time, but not the keys of this run. A subscription may be
// told what a key held before the run has written it.
void CloneClient::on_foreign(std::string_view key) {
  const auto owner = place_.layout.owner(key);
  if (owner && ledger_.counter_of(*owner) > 0) ledger_.corrupted();
  if (!key.starts_with(place_.layout.watched_by(id_))) ledger_.unfiltered();
}

bool CloneClient::publish() {
  std::string& value = place_.value;
  value.resize(static_cast<std::size_t>(place_.options.payload_bytes), '.');
  payload::write(value,
                 {.run = run_, .publisher = id_, .counter = counter_ + 1, .sent_us = now_us()});
  const auto uuid = unique_id(place_.run, id_, counter_ + 1);
  const clone::Frames frames(dialect_, place_.layout.key(id_), 0, {uuid.data(), uuid.size()}, {},
                             value);
  if (!collector_->send(frames.span())) return false;
  ++counter_;
  return true;
}

void CloneClient::leave() {
  state_ = State::outside;
  ++life_;
  place_.sockets.remove(*updates_);
  snapshot_.reset();
  updates_.reset();
  collector_.reset();
}

}  // namespace canopy::loadtest
