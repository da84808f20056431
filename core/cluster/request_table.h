// The results of the committed requests that clients have not yet declared settled. With it a
// repeated request is applied once and gets the same reply, whichever replica leads by then.
// Pure. Not thread-safe.
//
// A function of the log alone: every replica that has applied the same entries holds the same
// table. A lookup changes nothing. Beyond a bound the table drops the client whose last request is
// the oldest; a request that this client repeats later counts as new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/keyspace/log_entry.h"
#include "core/wire/fault.h"

namespace canopy::cluster {

class RequestTable {
 public:
  struct Limits {
    std::size_t clients = 65'536;
    std::size_t unsettled = 1024;                // of one client; more are refused
    std::size_t results = std::size_t{1} << 20;  // of all clients
  };
  struct Known {
    wire::Fault fault = wire::Fault::none;         // why the request is refused
    std::optional<keyspace::Revision> revision{};  // it was applied: of its last update
  };

  explicit RequestTable(Limits limits) : limits_(limits) {}
  RequestTable() : RequestTable(Limits()) {}
  // The table whose list() this was.
  explicit RequestTable(const std::vector<keyspace::AppliedRequest>& applied) : RequestTable() {
    for (const auto& request : applied) apply(request);
  }
  RequestTable(RequestTable&&) = default;
  RequestTable& operator=(RequestTable&&) = default;

  // Neither a fault nor a revision: the request is new.
  Known look_up(std::string_view client, std::uint64_t number, std::uint64_t settled) const;
  // In the order of the log. A repetition changes nothing.
  void apply(const keyspace::AppliedRequest& request);
  // In the order they were applied; takes time in proportion to results().
  std::vector<keyspace::AppliedRequest> list() const;

  std::size_t clients() const { return clients_.size(); }
  std::size_t results() const { return results_; }

 private:
  struct Result {
    std::uint64_t number = 0;
    std::uint64_t settled = 0;
    keyspace::Revision revision{};
  };
  struct Client {
    std::string id{};
    std::uint64_t settled = 0;      // the requests below are answered
    std::vector<Result> results{};  // by number, none below `settled`
  };
  using Clients = std::list<Client>;

  void settle(Client& client, std::uint64_t settled);
  void forget_oldest();

  Limits limits_;
  Clients clients_;  // the one applied last comes first
  std::unordered_map<std::string_view, Clients::iterator> by_id_;
  std::size_t results_ = 0;
};

}  // namespace canopy::cluster
