#include "core/net/connector.h"

#include <random>
#include <utility>

#include "core/net/listen_socket.h"

namespace canopy::net {
namespace {

base::Duration drawn_pause(base::Duration least) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<base::Duration::rep> draw(least.count(), 2 * least.count() - 1);
  return base::Duration(draw(random));
}

}  // namespace

std::optional<zmtp::CurveClient> curve_client(const access::KeyPair* cluster) {
  if (cluster == nullptr) return std::nullopt;
  return zmtp::CurveClient::of(cluster->public_key, *cluster);
}

Connector::Connector(Connections& connections, ConnectorSettings settings, ConnectionEvents& events)
    : connections_(connections), settings_(std::move(settings)), events_(events) {
  zmtp::Peer::Settings& peer = settings_.connection.peer;
  peer.connects = true;
  peer.curve_client = settings_.curve ? &*settings_.curve : nullptr;
}

Connector::~Connector() {
  end_try();
  if (connection_ && connection_->ready()) connection_->finish(settings_.linger);
}

base::Status Connector::connect(const std::string& endpoint) {
  const auto address = parse_address(endpoint);
  if (!address) return base::Error{"cannot connect to " + endpoint + ": no endpoint"};
  endpoint_ = endpoint;
  address_ = *address;
  end_try();
  untried_.clear();
  renewed_ = connection_ != nullptr;
  if (renewed_) {
    connection_->close("renewed");
  } else {
    begin();
  }
  return {};
}

void Connector::disconnect() {
  endpoint_.clear();
  end_try();
  renewed_ = false;
  if (connection_) connection_->close("left");
}

Connection* Connector::connection() const {
  return connection_ && connection_->ready() && !connection_->closing() ? connection_.get()
                                                                        : nullptr;
}

// Addresses are looked up again each time: those of a name change.
void Connector::begin() {
  const auto numeric = numeric_addresses(address_);
  untried_.assign(numeric.begin(), numeric.end());
  if (!untried_.empty()) return try_next();
  if (address_.ipc()) return retry_later(true);
  look_up();
}

void Connector::look_up() {
  lookup_ = std::make_unique<Lookup>(connections_.loop(), address_,
                                     [this](const std::vector<SocketAddress>& addresses) {
                                       untried_.assign(addresses.begin(), addresses.end());
                                       try_next();
                                     });
}

void Connector::try_next() {
  while (!untried_.empty()) {
    const SocketAddress address = untried_.front();
    untried_.pop_front();
    socket_ = begin_connect(address, settings_.receive_buffer_bytes);
    if (!socket_) continue;
    connections_.loop().watch(socket_.get(), *this, {.writable = true});
    timer_ = connections_.loop().after(settings_.handshake, [this] { give_up_try(); });
    return;
  }
  retry_later(true);
}

void Connector::on_events(bool, bool) {
  if (!is_connected(socket_)) return give_up_try();
  establish();
}

void Connector::give_up_try() {
  end_try();
  try_next();
}

void Connector::establish() {
  Descriptor socket = std::exchange(socket_, {});
  connections_.loop().unwatch(socket.get());
  connections_.loop().cancel(timer_);
  connection_ = std::make_unique<ZmtpConnection>(connections_, settings_.connection,
                                                 static_cast<ConnectionOwner&>(*this), events_,
                                                 std::move(socket));
  timer_ = connections_.loop().after(settings_.handshake,
                                     [this] { connection_->close("handshake_timeout"); });
}

void Connector::retry_later(bool unreachable) {
  end_try();
  timer_ = connections_.loop().after(drawn_pause(settings_.reconnect), [this, unreachable] {
    begin();
    if (unreachable) events_.on_unreachable();
  });
}

// And all that is due for it.
void Connector::end_try() {
  connections_.loop().cancel(timer_);
  lookup_.reset();
  if (!socket_) return;
  connections_.loop().unwatch(socket_.get());
  socket_ = Descriptor();
}

void Connector::on_ready(ZmtpConnection& connection) {
  connections_.loop().cancel(timer_);
  untried_.clear();
  for (const std::string& topic : topics_) connection.subscribe(topic, true);
  if (!reading_) connection.pause_reading();
  events_.on_ready(connection);
}

void Connector::on_closed(ZmtpConnection& connection, const std::string& reason) {
  const bool was_ready = connection.ready();
  if (!was_ready && settings_.logs)
    log_.warn("net", "handshake failed", {{"endpoint", endpoint_}, {"why", reason}});
  events_.on_closed(connection, reason);
  connection_.reset();
  if (endpoint_.empty()) return;  // disconnect() was called
  if (std::exchange(renewed_, false)) return begin();
  if (was_ready) return retry_later(false);
  give_up_try();
}

void Connector::subscribe(const std::string& topic) {
  if (topics_.insert(topic).second && connection() != nullptr) connection_->subscribe(topic, true);
}

void Connector::unsubscribe(const std::string& topic) {
  if (topics_.erase(topic) > 0 && connection() != nullptr) connection_->subscribe(topic, false);
}

void Connector::pause_reading() {
  reading_ = false;
  if (connection() != nullptr) connection_->pause_reading();
}

void Connector::resume_reading() {
  reading_ = true;
  if (connection() != nullptr) connection_->resume_reading();
}

}  // namespace canopy::net
