#include "core/keyspace/update_log.h"

#include <cassert>

namespace canopy::keyspace {

UpdateLog::UpdateLog(Revision start, std::size_t max_updates, std::size_t max_bytes)
    : oldest_(start), last_(start), max_updates_(max_updates), max_bytes_(max_bytes) {
  assert(max_updates > 0);
}

void UpdateLog::append(UpdatePtr update) {
  assert(update->revision == last_.next());
  last_ = update->revision;
  bytes_ += update->bytes();
  updates_.push_back(std::move(update));
  while (updates_.size() > 1 && (updates_.size() > max_updates_ || bytes_ > max_bytes_)) {
    bytes_ -= updates_.front()->bytes();
    oldest_ = updates_.front()->revision;
    updates_.pop_front();
  }
}

const UpdatePtr& UpdateLog::after(Revision revision) const {
  assert(covers(revision) && revision < last_);
  return updates_[revision.value() - oldest_.value()];
}

}  // namespace canopy::keyspace
