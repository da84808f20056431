// The last updates of a partition, for replays: contiguous revisions of one epoch, bounded by count
// and bytes. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <deque>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

class UpdateLog {
 public:
  // Starts empty after `start`: the first update to come is start.next().
  UpdateLog(Revision start, std::size_t max_updates, std::size_t max_bytes);

  // Drops the oldest updates beyond the bounds; the newest always stays.
  void append(UpdatePtr update);

  // Whether everything after `revision` is still here.
  bool covers(Revision revision) const { return oldest_ <= revision && revision <= last_; }
  // The update that follows `revision`, which must be covered and not the last.
  const UpdatePtr& after(Revision revision) const;

  Revision last() const { return last_; }
  std::size_t size() const { return updates_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::deque<UpdatePtr> updates_;  // revisions (oldest_, last_]
  Revision oldest_;
  Revision last_;
  std::size_t bytes_ = 0;
  std::size_t max_updates_;
  std::size_t max_bytes_;
};

}  // namespace canopy::keyspace
