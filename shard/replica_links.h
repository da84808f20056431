// The connections between this shard and the others that hold replicas of its partitions: one to
// each of them, on which this shard follows, and those on which they follow this one.
//
// What a follower is sent waits in its connection's queue, at most `follower_queue_bytes` before
// the leader holds back; what a leader is sent are questions and acknowledgements, a few bytes
// each. Belongs to the server's loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/access/keys.h"
#include "core/base/log.h"
#include "core/net/connector.h"
#include "core/wire/replication.h"

namespace canopy::shard {

class ReplicaLinks {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    // The way to follow that shard is there, or is gone.
    virtual void on_leader_link(const std::string& shard, bool up) = 0;
    // That shard's way to follow this one is gone.
    virtual void on_follower_gone(const std::string& shard) = 0;
    virtual void on_leader_message(const std::string& shard, wire::ToFollower message) = 0;
  };

  static constexpr std::size_t follower_queue_bytes = std::size_t{8} << 20;

  // `keys`, null: in the clear, and the others outlive this.
  ReplicaLinks(net::Connections& server, const access::KeyPair* keys, Events& events);
  ~ReplicaLinks();

  // Where the directory says that the shard is.
  void find(const std::string& shard, const std::string& endpoint);
  // Whether there is a way to follow that shard.
  bool connected(const std::string& shard) const;
  // False when there is no connection: what was to be said is lost.
  bool send(const std::string& shard, const wire::ToLeader& message);

  // `connection` was accepted, and says that it is this shard.
  void know(const std::string& shard, const net::Connection& connection);
  void on_closed(const net::Connection& connection);
  // The connection of a shard that follows; 0: there is none.
  std::uint64_t follower(const std::string& shard) const;

 private:
  class Link;

  net::Connections& server_;
  const access::KeyPair* keys_;
  Events& events_;
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::map<std::string, std::uint64_t> followers_;  // to accepted connections
};

}  // namespace canopy::shard
