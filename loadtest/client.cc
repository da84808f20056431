#include "loadtest/client.h"

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

// libzmq's own defaults where core/net is stricter: these are the guide's clients.
net::SocketOptions as_in_the_guide(int hwm) {
  net::SocketOptions options;
  options.send_hwm = hwm;
  options.receive_hwm = hwm;
  options.max_frame_bytes = -1;
  options.handshake = std::chrono::seconds(30);
  return options;
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

Client::Client(std::uint32_t id, const Layout& layout, const ClientSettings& settings)
    : id_(id), layout_(layout), settings_(settings), ledger_(layout.clients()) {}

base::Status Client::join(net::Context& context, const coordination::Triple& target,
                          std::int64_t now) {
  state_ = State::joining;
  asked_us_ = now;
  ledger_.start();

  // In the order of the guide's clients: all three connect, then the request is sent.
  const std::string& prefix = layout_.watched_by(id_);
  const auto options = as_in_the_guide(settings_.hwm);
  snapshot_.emplace(context, net::SocketType::dealer, options);
  updates_.emplace(context, net::SocketType::sub, options);
  updates_->subscribe(prefix);
  auto lingering = options;
  lingering.linger = std::chrono::seconds(2);
  collector_.emplace(
      context,
      settings_.dialect == clone::Dialect::chp ? net::SocketType::pub : net::SocketType::push,
      lingering);
  if (auto connected = snapshot_->connect(target.snapshot); !connected) return connected;
  if (auto connected = updates_->connect(target.updates); !connected) return connected;
  if (auto connected = collector_->connect(target.collector); !connected) return connected;
  snapshot_->send({clone::snapshot_request, prefix});
  return {};
}

bool Client::read_snapshot(Recorder& recorder) {
  net::Message& message = recorder.message;
  while (state_ == State::joining && snapshot_->receive(message)) {
    if (message.size() != frame_count(settings_.dialect)) {
      ledger_.corrupted();
      continue;
    }
    if (message[0] == clone::snapshot_end) {
      const auto sequence = clone::parse_sequence(message[1]);
      if (const auto* cut = std::get_if<std::int64_t>(&sequence)) {
        ledger_.cut(*cut);
      } else {
        ledger_.corrupted();
      }
      state_ = State::joined;
      recorder.join.record(now_us() - asked_us_);
      return true;
    }
    const auto stamp = payload::read(message[message.size() - 1]);
    if (!stamp || stamp->run != settings_.run) continue;
    if (stamp->publisher >= layout_.clients() || layout_.key(stamp->publisher) != message[0]) {
      ledger_.corrupted();
    } else {
      ledger_.floor(stamp->publisher, stamp->counter);
    }
  }
  return false;
}

bool Client::read_updates(Recorder& recorder) {
  std::int64_t now = now_us();
  for (int read = 1; updates_->receive(recorder.message); ++read) {
    on_update(recorder.message, now, recorder);
    if (read == read_budget) return false;
    if (read % clock_interval == 0) now = now_us();
  }
  return true;
}

void Client::on_update(const net::Message& message, std::int64_t& now, Recorder& recorder) {
  const std::size_t size = message.size();
  if (size != frame_count(settings_.dialect)) {
    ledger_.corrupted();
    return;
  }
  const std::string_view key = message[0];
  if (settings_.dialect == clone::Dialect::chp && key == clone::heartbeat) return;
  const auto sequence = clone::parse_sequence(message[1]);
  const auto* number = std::get_if<std::int64_t>(&sequence);
  if (number == nullptr) {
    ledger_.corrupted();
    return;
  }
  if (!ledger_.accept(*number)) return;
  const auto stamp = payload::read(message[size - 1]);
  if (!stamp || stamp->run != settings_.run) {
    on_foreign(key);
    return;
  }
  if (stamp->publisher >= layout_.clients() || layout_.key(stamp->publisher) != key) {
    ledger_.corrupted();
    return;
  }
  ledger_.apply(stamp->publisher, stamp->counter);
  ++recorder.delivered;
  if (!recorder.measuring) return;
  if (now < stamp->sent_us) now = now_us();  // sent since the last look at the clock
  recorder.latency.record(now - stamp->sent_us);
}

// Others may use the cluster at the same time, but not the keys of this run.
void Client::on_foreign(std::string_view key) {
  if (layout_.owner(key)) ledger_.corrupted();
}

bool Client::publish(Recorder& recorder) {
  recorder.value.resize(settings_.payload_bytes, '.');
  payload::write(
      recorder.value,
      {.run = settings_.run, .publisher = id_, .counter = counter_ + 1, .sent_us = now_us()});
  const auto uuid = unique_id(settings_.run, id_, counter_ + 1);
  const clone::Frames frames(settings_.dialect, layout_.key(id_), 0, {uuid.data(), uuid.size()}, {},
                             recorder.value);
  if (collector_->send(frames.span()) != net::SendResult::sent) return false;
  ++counter_;
  return true;
}

void Client::leave() {
  state_ = State::outside;
  ++life_;
  snapshot_.reset();
  updates_.reset();
  collector_.reset();
}

}  // namespace canopy::loadtest
