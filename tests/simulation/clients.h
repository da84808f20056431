// Clients that write, one request at a time, through the leader that they believe in. A request
// that is not answered in time is sent again, as it was, perhaps to another shard; so copies of one
// request are under way at once, and may come late. Every update has a name of its own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/wire/write.h"
#include "tests/simulation/context.h"
#include "tests/simulation/decider.h"

namespace canopy::simulation {

class Coordinator;
class Shard;

class Clients {
 public:
  // `part`: of what may be split off; null where nothing is.
  Clients(Context context, const Coordinator& coordinator, const Coordinator* part,
          std::map<std::string, Shard*> shards);

  void start();
  // No further requests than so many of each client.
  void stop_after(int requests);
  // Every request is answered.
  bool quiet() const;
  // The last request of each client that was committed, with the revision that it was told.
  std::vector<std::pair<wire::WriteRequest, keyspace::Revision>> last_committed() const;
  static bool of_part(const wire::WriteRequest& request) {
    return request.writes.front().key.starts_with(part_subtree);
  }
  std::uint64_t answers() const { return answers_; }

 private:
  struct Client {
    std::string id{};
    std::string leader{};  // as it believes
    std::uint64_t number = 0;
    std::optional<wire::WriteRequest> request{};  // not answered yet
    std::map<std::string, keyspace::Revision> seen{};
    std::optional<std::pair<wire::WriteRequest, keyspace::Revision>> committed{};
    int left = 1'000'000;
  };

  void next(Client& client);
  wire::WriteRequest draw(Client& client);
  void send(Client& client, int attempt);
  void hear(Client& client, std::uint64_t number, Answer answer);
  base::Duration delay();

  Context context_;
  const Coordinator& coordinator_;
  const Coordinator* part_;
  std::map<std::string, Shard*> shards_;
  std::vector<Client> clients_{};
  std::uint64_t answers_ = 0;
};

}  // namespace canopy::simulation
