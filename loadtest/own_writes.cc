#include "loadtest/own_writes.h"

#include <algorithm>

namespace canopy::loadtest {

void OwnWrites::sent(std::uint32_t counter, std::int64_t now_us) {
  writes_[counter].sent_us = now_us;
  ++open_;
}

std::int64_t OwnWrites::acknowledged(std::uint32_t counter, keyspace::Revision revision,
                                     std::int64_t now_us) {
  --open_;
  if (revision <= answered_.revision) ++misapplied_;
  answered_ = {counter, revision};
  const auto write = writes_.find(counter);
  const std::int64_t sent_us = write->second.sent_us;
  write->second.answered = revision;
  if (counter <= seen_.counter && write->second.seen.value() == 0) {
    writes_.erase(write);  // the watch received a later one instead
  } else {
    compare(write);
  }
  return now_us - sent_us;
}

void OwnWrites::failed(std::uint32_t counter) {
  --open_;
  writes_.erase(counter);
  unacknowledged_.push_back(counter);
}

void OwnWrites::seen(std::uint32_t counter, keyspace::Revision revision) {
  if (counter <= seen_.counter) {
    // The same revision once more is a fault of the watch, not of the write.
    if (revision > seen_.revision) ++misapplied_;
    return;
  }
  seen_ = {counter, revision};
  // The watch will not receive earlier writes of the key any more.
  while (!writes_.empty() && writes_.begin()->first < counter) {
    if (writes_.begin()->second.answered.value() == 0) break;
    writes_.erase(writes_.begin());
  }
  const auto write = writes_.find(counter);
  if (write == writes_.end()) return;
  write->second.seen = revision;
  compare(write);
}

void OwnWrites::compare(std::map<std::uint32_t, Write>::iterator write) {
  const auto& [sent_us, answered, seen] = write->second;
  if (answered.value() == 0 || seen.value() == 0) return;
  if (answered != seen) ++misapplied_;
  writes_.erase(write);
}

std::uint32_t OwnWrites::last_applied() const { return std::max(answered_.counter, seen_.counter); }

}  // namespace canopy::loadtest
