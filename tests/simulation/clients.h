// Clients that write, one request at a time, to the shard that they take for the leader. A client
// repeats an unanswered request, perhaps to another shard; so several copies of one request may be
// under way, and arrive late. The value of every update is unique.
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
  // `part`: the coordinator of the part; null: the partition is not split.
  Clients(Context context, const Coordinator& coordinator, const Coordinator* part,
          std::map<std::string, Shard*> shards);

  void start();
  // Each client sends at most this many further requests.
  void stop_after(int requests);
  // Every request is answered.
  bool quiet() const;
  // The last committed request of each client, with the revision in its reply.
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
