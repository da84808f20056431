// What a leader makes of the requests of clients, as far as replication cares: it gives updates
// their revisions, and recognises a request that comes again by what the replica knows of it.
//
// A small stand-in for shard::Partition. A condition is judged by what is proposed already.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cluster/replica.h"
#include "core/wire/write.h"

namespace canopy::simulation {

struct Answer {
  enum { committed, refused, not_here } outcome = not_here;
  keyspace::Revision revision{};  // of the last update, when committed
};

class Decider {
 public:
  using Reply = std::function<void(Answer)>;

  void decide(cluster::Replica& replica, const wire::WriteRequest& request, Reply reply,
              base::TimePoint now, cluster::Replica::Effects& out);
  // Proposes the split entry that the record orders, once.
  void split(cluster::Replica& replica, base::TimePoint now, cluster::Replica::Effects& out);
  // Answers what waits for them.
  void committed(const std::vector<keyspace::LogEntry>& entries);
  // The leadership is another one, or over: nothing is answered that waits.
  void forget() { waiting_.clear(); }

 private:
  std::multimap<keyspace::Revision, Reply> waiting_{};
};

}  // namespace canopy::simulation
