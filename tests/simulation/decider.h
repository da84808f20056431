// The leader's handling of client requests: gives updates their revisions, and recognises a
// repeated request by the replica's request table.
//
// A small substitute for shard::Partition. A condition is checked against the proposed entries.
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
  // Answers the requests that wait for these entries.
  void committed(const std::vector<keyspace::LogEntry>& entries);
  // The leadership has ended or changed: waiting requests get no reply.
  void forget() { waiting_.clear(); }

 private:
  std::multimap<keyspace::Revision, Reply> waiting_{};
};

}  // namespace canopy::simulation
