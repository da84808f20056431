// What came of the requests that clients have not yet declared settled: by it a request that comes
// again, through whichever proxy, is applied once and answered alike.
//
// Results count as tentative until confirm(): what was decided over updates that then were never
// committed is forgotten by forget_unconfirmed(). Bounded: beyond its bounds the client that was
// heard of least recently is forgotten, and what it repeats after that is new. Pure; not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shard/replies.h"

namespace canopy::shard {

// A request that was applied, as it is kept on disk.
struct AppliedRequest {
  std::string client{};
  std::uint64_t number = 0;
  std::uint64_t settled = 0;
  keyspace::Revision revision{};  // of its last write
};

class ClientTable {
 public:
  struct Limits {
    std::size_t clients = 65'536;
    std::size_t unsettled = 1024;                // of one client; more are refused
    std::size_t results = std::size_t{1} << 20;  // of all clients
  };
  static constexpr std::size_t no_reply = std::numeric_limits<std::size_t>::max();

  struct Entry {
    std::uint64_t number = 0;
    Result result{};
    std::uint64_t turn = 0;        // between which two calls of confirm() it was remembered
    std::size_t reply = no_reply;  // of the caller; means something in the same turn only
  };
  struct Known {
    wire::Fault fault = wire::Fault::none;  // why the request cannot be taken
    Entry* entry = nullptr;                 // what came of it before; until the next call
  };

  explicit ClientTable(Limits limits) : limits_(limits) {}
  ClientTable() : ClientTable(Limits()) {}

  // Takes note of what is settled. Neither a fault nor an entry: the request is new.
  Known look_up(const std::string& client, std::uint64_t number, std::uint64_t settled);
  // What came of a request that look_up() has just found new.
  void remember(const std::string& client, std::uint64_t number, std::uint64_t settled,
                Result result, std::size_t reply = no_reply);
  bool unconfirmed(const Entry& entry) const { return entry.turn == turn_; }

  void confirm() { ++turn_; }
  void forget_unconfirmed();

  std::size_t clients() const { return clients_.size(); }
  std::size_t results() const { return results_; }

 private:
  struct Client {
    std::string id{};
    std::uint64_t settled = 0;     // the requests below are answered
    std::vector<Entry> entries{};  // by number, none below `settled`
  };
  using Clients = std::list<Client>;

  void settle(Client& client, std::uint64_t settled);
  void forget_oldest();

  Limits limits_;
  Clients clients_;  // the one heard of last comes first
  std::unordered_map<std::string_view, Clients::iterator> by_id_;
  std::size_t results_ = 0;
  std::uint64_t turn_ = 0;
};

}  // namespace canopy::shard
