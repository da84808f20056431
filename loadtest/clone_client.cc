#include "loadtest/clone_client.h"

#include <array>

#include "loadtest/measure/clock.h"
#include "loadtest/measure/stamp.h"

namespace canopy::loadtest {
namespace {

namespace clone = wire::clone;

// Updates that a client reads in one turn, and that it reads between two readings of the clock.
constexpr int read_budget = 4096;
constexpr int clock_interval = 64;

std::size_t frame_count(clone::Dialect dialect) {
  return dialect == clone::Dialect::kvsimple ? 3 : 5;
}

// Unique to the update.
std::array<char, 16> unique_id(std::uint64_t run, std::uint32_t publisher, std::uint32_t counter) {
  std::array<char, 16> uuid;
  std::memcpy(uuid.data(), &run, 8);
  std::memcpy(uuid.data() + 8, &publisher, 4);
  std::memcpy(uuid.data() + 12, &counter, 4);
  return uuid;
}

}  // namespace

CloneClient::CloneClient(std::uint32_t id, std::uint32_t tag, Context& context)
    : LoadClient(id, tag, context),
      dialect_(*context.options.dialect),
      run_(measure::run_of(context.run)) {}

base::Status CloneClient::join(std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();
  const auto& triples = context_.target.triples;
  if (auto connected = connect(triples[id_ % triples.size()]); !connected) return connected;
  context_.sockets.on_readable(*snapshot_, [this] {
    // A client whose snapshot timed out reads no more of it.
    if (state_ != State::joining) return context_.sockets.remove(*snapshot_);
    read_snapshot();
    mark_received();
  });
  return {};
}

base::Status CloneClient::connect(const wire::Triple& triple) {
  // The guide's clients connect all three sockets before they send the request.
  const std::string& prefix = context_.layout.watched_by(id_);
  const ZmqOptions options{.hwm = context_.options.hwm, .keys = context_.target.keys};
  snapshot_.emplace(context_.zmq, zmq::socket_type::dealer, options);
  updates_.emplace(context_.zmq, zmq::socket_type::sub, options);
  updates_->subscribe(prefix);
  auto lingering = options;
  lingering.linger = std::chrono::seconds(2);
  collector_.emplace(
      context_.zmq,
      dialect_ == clone::Dialect::chp ? zmq::socket_type::pub : zmq::socket_type::push, lingering);
  if (auto connected = snapshot_->connect(triple.snapshot); !connected) return connected;
  if (auto connected = updates_->connect(triple.updates); !connected) return connected;
  if (auto connected = collector_->connect(triple.collector); !connected) return connected;
  snapshot_->send({clone::snapshot_request, prefix});
  return {};
}

void CloneClient::read_snapshot() {
  ZmqMessage& message = context_.message;
  while (snapshot_->receive(message)) {
    if (message.size() != frame_count(dialect_)) {
      ledger_.count_corrupted();
    } else if (message[0] != clone::snapshot_end) {
      on_entry(message);
    } else {
      const auto sequence = clone::parse_sequence(message[1]);
      if (const auto* cut = std::get_if<std::int64_t>(&sequence)) {
        ledger_.on_snapshot_end(*cut);
      } else {
        ledger_.count_corrupted();
      }
      state_ = State::joined;
      context_.recorder.joined_us = measure::now_us();
      context_.recorder.join.record(context_.recorder.joined_us - asked_us_);
      context_.sockets.remove(*snapshot_);
      return context_.sockets.on_readable(*updates_, [this] {
        read_updates();
        mark_received();
      });
    }
  }
}

void CloneClient::on_entry(const ZmqMessage& message) {
  const auto stamp = measure::read_stamp(message[message.size() - 1], run_);
  if (!stamp) return;
  if (stamp->publisher >= context_.layout.writers() ||
      context_.layout.key(stamp->publisher) != message[0]) {
    ledger_.count_corrupted();
  } else {
    ledger_.on_snapshot_entry(stamp->publisher, stamp->counter);
  }
}

void CloneClient::read_updates() {
  std::int64_t now = measure::now_us();
  for (int read = 1; updates_->receive(context_.message); ++read) {
    on_update(context_.message, now);
    if (read == read_budget) return;
    if (read % clock_interval == 0) now = measure::now_us();
  }
}

void CloneClient::on_update(const ZmqMessage& message, std::int64_t& now) {
  const std::size_t size = message.size();
  if (size != frame_count(dialect_)) {
    ledger_.count_corrupted();
    return;
  }
  const std::string_view key = message[0];
  if (dialect_ == clone::Dialect::chp && key == clone::heartbeat) return;
  const auto sequence = clone::parse_sequence(message[1]);
  const auto* number = std::get_if<std::int64_t>(&sequence);
  if (number == nullptr) {
    ledger_.count_corrupted();
    return;
  }
  if (!ledger_.check_sequence(*number)) return;
  const auto stamp = measure::read_stamp(message[size - 1], run_);
  if (!stamp) return on_foreign(key);
  if (stamp->publisher >= context_.layout.writers() ||
      context_.layout.key(stamp->publisher) != key) {
    ledger_.count_corrupted();
    return;
  }
  if (!context_.layout.visible_to(id_)[stamp->publisher]) return ledger_.count_unfiltered();
  ledger_.on_update(stamp->publisher, stamp->counter);
  Recorder& recorder = context_.recorder;
  ++recorder.delivered;
  if (!recorder.measuring) return;
  if (now < stamp->sent_us) now = measure::now_us();  // sent after the clock was read
  recorder.latency.record(now - stamp->sent_us);
}

// Other programs may use the cluster at the same time, but not the keys of this run. A proxy may
// send what a key held before this run first wrote it.
void CloneClient::on_foreign(std::string_view key) {
  const auto owner = context_.layout.owner(key);
  if (owner && ledger_.counter_of(*owner) > 0) ledger_.count_corrupted();
  if (!key.starts_with(context_.layout.watched_by(id_))) ledger_.count_unfiltered();
}

bool CloneClient::publish() {
  std::string& value = context_.value;
  value.resize(static_cast<std::size_t>(context_.options.payload_bytes), '.');
  measure::write_stamp(
      value.data(),
      {.run = run_, .publisher = id_, .counter = counter_ + 1, .sent_us = measure::now_us()});
  const auto uuid = unique_id(context_.run, id_, counter_ + 1);
  const clone::Frames frames(dialect_, context_.layout.key(id_), 0, {uuid.data(), uuid.size()}, {},
                             value);
  if (!collector_->send(frames.span())) return false;
  ++counter_;
  return true;
}

void CloneClient::leave() {
  state_ = State::outside;
  ++incarnation_;
  context_.sockets.remove(*updates_);
  snapshot_.reset();
  updates_.reset();
  collector_.reset();
}

}  // namespace canopy::loadtest
