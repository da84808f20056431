// The connections between shards with replicas of the same partitions: one to each other shard, on
// which this shard follows, and accepted ones, on which other shards follow this one. Belongs to
// the server's loop. Format: core/wire/replication.h.
//
// Messages to a follower wait in its connection's queue, up to `follower_queue_bytes`. Messages to
// a leader are requests and acknowledgements of a few bytes.
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
    // The connection to that shard, to follow it, is open or has closed.
    virtual void on_leader_link(const std::string& shard, bool up) = 0;
    // The connection on which that shard followed this one has closed.
    virtual void on_follower_gone(const std::string& shard) = 0;
    virtual void on_leader_message(const std::string& shard, wire::ToFollower message) = 0;
  };

  static constexpr std::size_t follower_queue_bytes = std::size_t{8} << 20;

  // All arguments outlive it. `keys` null: without encryption.
  ReplicaLinks(net::Connections& server, const access::KeyPair* keys, Events& events);
  ~ReplicaLinks();

  // Connects to the shard at this endpoint, as the directory says.
  void find(const std::string& shard, const std::string& endpoint);
  // True while the connection to that shard is open.
  bool connected(const std::string& shard) const;
  // False without an open connection: the message is lost.
  bool send(const std::string& shard, const wire::ToLeader& message);

  // The peer of this accepted connection names itself as `shard`.
  void know(const std::string& shard, const net::Connection& connection);
  void on_closed(const net::Connection& connection);
  // The connection on which that shard follows; 0: none.
  std::uint64_t follower(const std::string& shard) const;

 private:
  class Link;

  net::Connections& server_;
  const access::KeyPair* keys_;
  Events& events_;
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::map<std::string, std::uint64_t> followers_;  // shard -> accepted connection
};

}  // namespace canopy::shard
