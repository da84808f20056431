#include "tests/bench/dialogue.h"

#include <array>
#include <cstdio>
#include <utility>

#include "core/wire/native.h"

namespace canopy::bench {
namespace {

using namespace std::string_literals;

constexpr std::string_view channel = "bench";
constexpr std::size_t sequence_bytes = 8;

// --- ZMTP 3.0, mechanism NULL ------------------------------------------------------------------

constexpr std::size_t zmtp_greeting_bytes = 64;

std::string zmtp_frame(std::string_view body, bool more) {
  std::string frame{static_cast<char>(more ? 1 : 0), static_cast<char>(body.size())};
  return frame.append(body);
}

std::string zmtp_greeting() {
  std::string greeting = "\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL"s;
  greeting.resize(zmtp_greeting_bytes, '\0');
  return greeting;
}

std::string zmtp_ready(std::string_view socket) {
  std::string ready = "\5READY\13Socket-Type\0\0\0"s;
  ready += static_cast<char>(socket.size());
  ready.append(socket);
  return std::string{'\4', static_cast<char>(ready.size())} + ready;
}

// --- MQTT 3.1.1 --------------------------------------------------------------------------------

std::string mqtt_string(std::string_view text) {
  std::string out{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xff)};
  return out.append(text);
}

std::string mqtt_packet(unsigned char type, std::string_view content) {
  std::string packet(1, static_cast<char>(type));
  for (std::size_t left = content.size();;) {
    const std::size_t low = left % 128;
    left /= 128;
    packet += static_cast<char>(left > 0 ? low | 128 : low);
    if (left == 0) break;
  }
  return packet.append(content);
}

std::string mqtt_connect(std::string_view client) {
  return mqtt_packet(0x10, mqtt_string("MQTT") + "\4\2\0\0"s + mqtt_string(client));
}

constexpr std::size_t mqtt_connack_bytes = 4, mqtt_suback_bytes = 5;

// --- all ---------------------------------------------------------------------------------------

Record packed(std::string head, std::string_view key, std::string_view tail) {
  Record record{std::move(head), 0};
  record.bytes.append(key).append(sequence_bytes, '\0');
  record.body = record.bytes.size();
  record.bytes.append(body_bytes, '.').append(tail);
  return record;
}

Record zmq_record(std::string_view key) {
  Record record{zmtp_frame(key, true) + zmtp_frame(std::string(sequence_bytes, '\0'), true) +
                zmtp_frame(std::string(body_bytes, '.'), false)};
  record.body = record.bytes.size() - body_bytes;
  return record;
}

Record mqtt_record(std::string_view key) {
  const Record payload = packed("", key, "");
  Record record{mqtt_packet(0x30, mqtt_string(channel) + payload.bytes)};
  record.body = record.bytes.size() - body_bytes;
  return record;
}

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::size_t payload_bytes(std::string_view key) { return key.size() + sequence_bytes + body_bytes; }

std::string nats_connect() { return "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"; }

// --- answers -----------------------------------------------------------------------------------

using Answer = std::optional<std::size_t>;

Answer up_to(std::string_view received, std::string_view end) {
  const auto found = received.find(end);
  if (found == std::string_view::npos) return {};
  return found + end.size();
}

template <std::size_t bytes>
Answer exactly(std::string_view received) {
  if (received.size() < bytes) return {};
  return bytes;
}

Answer one_frame(std::string_view received) {
  if (received.size() < 2) return {};
  const std::size_t all = std::size_t{2} + static_cast<unsigned char>(received[1]);
  if (received.size() < all) return {};
  return all;
}

Answer nats_answer(std::string_view received) { return up_to(received, "\r\nPONG\r\n"); }
Answer redis_answer(std::string_view received) { return up_to(received, bulk(channel) + ":1\r\n"); }

std::vector<Opening::Step> zmtp_steps(std::string_view socket) {
  return {{zmtp_greeting(), exactly<zmtp_greeting_bytes>}, {zmtp_ready(socket), one_frame}};
}

}  // namespace

std::optional<Protocol> parse_protocol(std::string_view name) {
  using enum Protocol;
  constexpr std::array<std::pair<std::string_view, Protocol>, 7> all{{{"zmq", zmq},
                                                                      {"native", native},
                                                                      {"native-lz4", native_lz4},
                                                                      {"redis", redis},
                                                                      {"nats", nats},
                                                                      {"mqtt", mqtt},
                                                                      {"plain", plain}}};
  for (const auto& [known, protocol] : all) {
    if (known == name) return protocol;
  }
  return {};
}

std::string key_of(std::uint32_t client) {
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), "%06u", client % 1'000'000);
  return std::string(subtree) + digits.data();
}

Record published(Protocol protocol, std::string_view key) {
  const std::string bytes = std::to_string(payload_bytes(key));
  switch (protocol) {
    case Protocol::zmq:
    case Protocol::native:
    case Protocol::native_lz4: return zmq_record(key);
    case Protocol::redis:
      return packed("*3\r\n" + bulk("PUBLISH") + bulk(channel) + "$" + bytes + "\r\n", key, "\r\n");
    case Protocol::nats:
      return packed("PUB " + std::string(channel) + " " + bytes + "\r\n", key, "\r\n");
    case Protocol::mqtt: return mqtt_record(key);
    case Protocol::plain: break;
  }
  return packed("", key, "");
}

Record delivered(Protocol protocol) {
  const std::string key = key_of(0);
  const std::string bytes = std::to_string(payload_bytes(key));
  switch (protocol) {
    case Protocol::redis:
      return packed("*3\r\n" + bulk("message") + bulk(channel) + "$" + bytes + "\r\n", key, "\r\n");
    case Protocol::nats:
      return packed("MSG " + std::string(channel) + " 1 " + bytes + "\r\n", key, "\r\n");
    default: return published(protocol, key);
  }
}

std::string Opening::begin() {
  if (done()) return {};
  return steps_.front().request + on_data("");
}

std::string Opening::on_data(std::string_view data) {
  received_.append(data);
  std::string next;
  while (!done()) {
    const auto answered = steps_[step_].answer(received_);
    if (!answered) break;
    received_.erase(0, *answered);
    if (++step_ < steps_.size()) next += steps_[step_].request;
  }
  return next;
}

Opening publisher_opening(Protocol protocol, std::string_view zmq_socket) {
  switch (protocol) {
    case Protocol::zmq:
    case Protocol::native:
    case Protocol::native_lz4: return Opening(zmtp_steps(zmq_socket));
    case Protocol::nats: return Opening({{nats_connect() + std::string(nats_ping), nats_answer}});
    case Protocol::mqtt: return Opening({{mqtt_connect("publisher"), exactly<mqtt_connack_bytes>}});
    case Protocol::redis:
    case Protocol::plain: break;
  }
  return {};
}

Opening subscriber_opening(Protocol protocol, std::uint32_t client, std::string_view topic) {
  const std::string name(channel);
  switch (protocol) {
    case Protocol::zmq: {
      auto steps = zmtp_steps("SUB");
      steps.push_back({zmtp_frame("\1" + std::string(topic), false), exactly<0>});
      return Opening(std::move(steps));
    }
    case Protocol::native:
    case Protocol::native_lz4: {
      const wire::native::Subscription subscription{.subtree = std::string(topic),
                                                    .lz4 = protocol == Protocol::native_lz4};
      auto steps = zmtp_steps("DEALER");
      steps.push_back(
          {zmtp_frame(wire::native::encode(wire::native::Announce{.request = 1, .name = name}),
                      false) +
               zmtp_frame(wire::native::encode(
                              wire::native::Watch{.request = 2, .subscription = subscription}),
                          false),
           exactly<0>});
      return Opening(std::move(steps));
    }
    case Protocol::redis:
      return Opening({{"*2\r\n" + bulk("SUBSCRIBE") + bulk(channel), redis_answer}});
    case Protocol::nats:
      return Opening(
          {{nats_connect() + "SUB " + name + " 1\r\n" + std::string(nats_ping), nats_answer}});
    case Protocol::mqtt:
      return Opening({{mqtt_connect("s" + std::to_string(client)), exactly<mqtt_connack_bytes>},
                      {mqtt_packet(0x82, "\0\1"s + mqtt_string(channel) + "\0"s),
                       exactly<mqtt_suback_bytes>}});
    case Protocol::plain: break;
  }
  return {};
}

}  // namespace canopy::bench
