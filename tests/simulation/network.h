// Connections between shards: each shard that holds a replica connects to each other one.
//
// Messages of a connection arrive late and in order; connections are independent. A broken
// connection loses the messages under way; the connecting end notices, and connects again. A cut
// direction holds messages back until the cut ends or the connection breaks. In some scenarios
// messages of a connection are lost, repeated and swapped.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "core/wire/replication.h"
#include "tests/simulation/context.h"

namespace canopy::simulation {

class Shard;

class Network {
 public:
  explicit Network(Context context) : context_(context) {}

  // Adds a shard that holds a replica. Call for each before the first of them starts.
  void add(Shard& shard);
  void started(const std::string& shard);
  void stopped(const std::string& shard);

  void send(const std::string& from, const std::string& to, wire::ToLeader message);
  void send(const std::string& from, const std::string& to, wire::ToFollower message);
  // The number of messages for which the follower's connection has room.
  int room(const std::string& leader, const std::string& follower) const;

  void disconnect(const std::string& from, const std::string& to);
  void cut(const std::string& from, const std::string& to, bool cut);
  // Closes the connections with faults, and makes all later ones reliable.
  void mend();

 private:
  using Payload = std::variant<wire::ToLeader, wire::ToFollower>;
  struct Direction {
    const std::string* from = nullptr;
    Shard* to = nullptr;
    base::TimePoint last{};      // arrival of what was sent last
    std::deque<Payload> held{};  // by a cut
    int under_way = 0;
  };
  struct Connection {
    bool open = false;
    std::uint64_t number = 0;      // of this connection of the two
    base::TimePoint break_seen{};  // when the connecting end hears, or has heard, that one broke
    Direction to_leader{}, to_follower{};
  };

  Connection& between(const std::string& connects, const std::string& listens) {
    return connections_.at({connects, listens});
  }
  void connect_later(Connection& connection);
  void connect(Connection& connection);
  void break_off(Connection& connection);
  void tell(Shard& shard, const std::string& peer, bool up, base::Duration delay);
  void transmit(Connection& connection, Direction& direction, Payload payload);
  void schedule(Connection& connection, Direction& direction, Payload payload);
  void arrive(Direction& direction, Payload payload);
  bool happens(int percent);
  bool is_cut(const Direction& direction) const;
  base::Duration delay();

  Context context_;
  bool behaves_ = false;
  std::map<std::string, Shard*> shards_{};
  std::map<std::pair<std::string, std::string>, Connection> connections_{};
  std::set<std::pair<std::string, std::string>> cuts_{};
};

}  // namespace canopy::simulation
