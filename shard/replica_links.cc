#include "shard/replica_links.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/limits.h"

namespace canopy::shard {
namespace {

constexpr std::size_t leader_bytes_per_turn = std::size_t{4} << 20;

net::ConnectorSettings settings(const access::KeyPair* keys) {
  return {.connection = {.peer = {.type = zmtp::SocketType::dealer,
                                  .limits = {.frame_bytes = base::max_link_frame_bytes,
                                             .message_bytes = base::max_link_frame_bytes}},
                         .read_bytes_per_turn = leader_bytes_per_turn},
          .curve = net::curve_client(keys),
          .reconnect = std::chrono::milliseconds(50)};
}

}  // namespace

class ReplicaLinks::Link final : private net::ConnectionEvents {
 public:
  Link(net::Connections& server, const access::KeyPair* keys, std::string shard, Events& events)
      : shard_(std::move(shard)), events_(events), connector_(server, settings(keys), *this) {}

  void connect(const std::string& endpoint) {
    if (endpoint == endpoint_) return;
    endpoint_ = endpoint;
    if (const auto status = connector_.connect(endpoint); !status) {
      base::log::error("shard", status.error(), {{"shard", shard_}});
    }
  }
  bool connected() const { return connector_.connection() != nullptr; }
  bool send(const wire::ToLeader& message) {
    net::Connection* connection = connector_.connection();
    if (connection == nullptr) return false;
    const std::string frame = wire::encode(message);
    connection->send(std::array{std::string_view(frame)});
    return true;
  }

 private:
  void on_ready(net::Connection&) override { events_.on_leader_link(shard_, true); }
  void on_closed(net::Connection&, std::string_view) override {
    events_.on_leader_link(shard_, false);
  }
  void on_message(net::Connection&, std::span<const std::string_view> parts) override {
    auto message = parts.size() == 1
                       ? wire::decode_to_follower(parts[0])
                       : base::Result<wire::ToFollower>(base::Error{"expects one frame"});
    if (message) return events_.on_leader_message(shard_, std::move(*message));
    malformed_.warn("shard", "message of a leader refused",
                    {{"shard", shard_}, {"why", message.error()}});
  }

  const std::string shard_;
  Events& events_;
  std::string endpoint_{};
  base::log::RateLimited malformed_;
  net::Connector connector_;
};

ReplicaLinks::ReplicaLinks(net::Connections& server, const access::KeyPair* keys, Events& events)
    : server_(server), keys_(keys), events_(events) {}

ReplicaLinks::~ReplicaLinks() = default;

void ReplicaLinks::find(const std::string& shard, const std::string& endpoint) {
  auto& link = links_[shard];
  if (link == nullptr) link = std::make_unique<Link>(server_, keys_, shard, events_);
  link->connect(endpoint);
}

bool ReplicaLinks::connected(const std::string& shard) const {
  const auto link = links_.find(shard);
  return link != links_.end() && link->second->connected();
}

bool ReplicaLinks::send(const std::string& shard, const wire::ToLeader& message) {
  const auto link = links_.find(shard);
  return link != links_.end() && link->second->send(message);
}

void ReplicaLinks::know(const std::string& shard, const net::Connection& connection) {
  followers_[shard] = connection.id();
}

void ReplicaLinks::on_closed(const net::Connection& connection) {
  const auto gone =
      std::ranges::find(followers_, connection.id(), &decltype(followers_)::value_type::second);
  if (gone == followers_.end()) return;
  const std::string shard = gone->first;
  followers_.erase(gone);
  events_.on_follower_gone(shard);
}

std::uint64_t ReplicaLinks::follower(const std::string& shard) const {
  const auto known = followers_.find(shard);
  return known == followers_.end() ? 0 : known->second;
}

}  // namespace canopy::shard
