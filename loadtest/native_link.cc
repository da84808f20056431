#include "loadtest/native_link.h"

#include <exception>
#include <variant>

#include "core/wire/native.h"
#include "loadtest/machine.h"

namespace canopy::loadtest {
namespace {

constexpr int read_budget = 64;  // frames at one go, before others get their turn

}  // namespace

void NativeLink::connect(const client::Target& target) {
  ++links_;
  open(requests, net::SocketType::dealer, target.requests);
  open(streams, net::SocketType::sub, target.streams);
}

void NativeLink::open(Slot slot, net::SocketType type, const std::string& endpoint) {
  net::SocketOptions options;
  options.max_frame_bytes = base::max_link_frame_bytes;
  options.receive_hwm = receive_hwm_;
  // A SUB loses subscriptions at any limit; a DEALER holds all that waits for an answer.
  options.send_hwm = type == net::SocketType::sub ? 0 : 16'384;
  options.curve_client = keys_;
  auto& socket = sockets_[slot];
  try {
    socket.emplace(context_, type, options);
  } catch (const std::exception&) {
    return;  // out of descriptors: as silent as a proxy that is not there
  }
  if (const auto connected = socket->connect(endpoint); !connected) return socket.reset();
  poll_.watch(socket->fd(), {tag_, slot});
  read_soon(slot);
}

void NativeLink::disconnect() {
  ++links_;
  for (auto& socket : sockets_) {
    if (!socket) continue;
    poll_.unwatch(socket->fd());
    socket.reset();
  }
}

void NativeLink::read_soon(Slot slot) {
  if (!sockets_[slot] || soon_[slot]) return;
  soon_[slot] = true;
  poll_.again({tag_, slot});
}

void NativeLink::read(std::uint32_t slot, client::Session& session) {
  auto& socket = sockets_[slot];
  soon_[slot] = false;
  const std::uint64_t link = links_;
  for (int i = 0; i < read_budget; ++i) {
    if (link != links_ || !socket || !socket->receive(message_)) return;
    if (message_.size() != 1) continue;
    const base::TimePoint now{base::Duration(now_us())};
    if (slot == requests) {
      session.on_answer(message_[0], now);
    } else {
      session.on_stream(message_[0], now);
    }
  }
  read_soon(static_cast<Slot>(slot));
}

void NativeLink::subscribe(std::string_view topic) {
  if (!sockets_[streams]) return;
  sockets_[streams]->subscribe(topic);
  read_soon(streams);
}

void NativeLink::unsubscribe(std::string_view topic) {
  if (sockets_[streams]) sockets_[streams]->unsubscribe(topic);
}

void NativeLink::send(std::string frame) {
  if (!sockets_[requests]) return;
  const auto request = wire::native::decode_to_proxy(frame);
  if (const auto* known = std::get_if<wire::native::ToProxy>(&request)) {
    if (std::holds_alternative<wire::WriteRequest>(*known)) ++writes_;
  }
  sockets_[requests]->send_frame(std::move(frame), false);
  read_soon(requests);
}

}  // namespace canopy::loadtest
