#include "client/link.h"

#include <utility>

#include "core/base/limits.h"

namespace canopy::client {
namespace {

net::ConnectorSettings settings(const std::optional<access::ClientKeys>& keys) {
  net::ConnectorSettings made{
      .connection = {.peer = {.type = zmtp::SocketType::dealer,
                              .limits = {.frame_bytes = base::max_link_frame_bytes,
                                         .message_bytes = base::max_link_frame_bytes}}},
      .logs = false};
  if (keys) made.curve = zmtp::CurveClient::of(keys->server_key, keys->own);
  return made;
}

}  // namespace

Link::Link(net::Connections& server, const std::optional<access::ClientKeys>& keys,
           LinkEvents events)
    : events_(std::move(events)), connector_(server, settings(keys), *this) {}

base::Status Link::connect(const std::string& endpoint) {
  disconnect();
  return connector_.connect(endpoint);
}

void Link::disconnect() {
  connection_ = nullptr;
  unsent_.clear();
  connector_.disconnect();
}

void Link::send(std::string frame) {
  if (connection_ == nullptr) return unsent_.push_back(std::move(frame));
  const std::string_view part = frame;
  connection_->send(std::span(&part, 1));
}

void Link::on_ready(net::Connection& connection) {
  connection_ = &connection;
  for (std::string& frame : std::exchange(unsent_, {})) send(std::move(frame));
}

void Link::on_message(net::Connection& connection, std::span<const std::string_view> parts) {
  if (&connection == connection_ && parts.size() == 1) events_.on_frame(parts[0]);
}

void Link::on_closed(net::Connection& connection, std::string_view) {
  if (&connection != connection_) return;
  connection_ = nullptr;
  on_unreachable();
}

void Link::on_unreachable() {
  if (events_.on_lost) events_.on_lost();
}

}  // namespace canopy::client
