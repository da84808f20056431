#include "core/coordination/etcd_swaps.h"

#include <algorithm>
#include <utility>

namespace canopy::coordination::etcd {

void Swaps::add(const std::string& key, const std::string& value, Revision expected,
                Coordinator::Swapped swapped) {
  const std::size_t bytes = key.size() + value.size();
  if (pending_.size() >= max_pending || bytes_ + bytes > max_pending_bytes ||
      value.size() > max_value_bytes) {
    gateway_.loop().after({}, [swapped = std::move(swapped)] { swapped(false); });
    return;
  }
  bytes_ += bytes;
  pending_.push_back({prefix_ + key, value, expected, std::move(swapped)});
  proceed();
}

void Swaps::proceed() {
  if (!gateway_.ready()) return;
  for (auto swap = pending_.begin(); swap != pending_.end(); ++swap) {
    if (under_way_ >= max_under_way) return;
    if (may_start(swap)) start(swap);
  }
}

bool Swaps::may_start(std::list<Pending>::const_iterator swap) const {
  return !swap->under_way &&
         (under_way_ == 0 || under_way_bytes_ + swap->value.size() <= max_under_way_bytes) &&
         std::none_of(pending_.begin(), swap,
                      [&](const Pending& earlier) { return earlier.key == swap->key; });
}

void Swaps::start(std::list<Pending>::iterator swap) {
  swap->under_way = true;
  ++under_way_;
  under_way_bytes_ += swap->value.size();
  gateway_.call("kv/txn", to_swap(swap->key, swap->value, swap->expected),
                [this, swap](const Gateway::Answer& answer) {
                  swap->under_way = false;
                  --under_way_;
                  under_way_bytes_ -= swap->value.size();
                  judge(swap, answer);
                  proceed();
                });
}

// etcd may have carried out an unanswered request, or may do so later: the next request shows. It
// compares the same revision, so that both together change the key once. If it finds another
// revision, the value shows whose change that was. If that is overwritten already, the outcome is
// failure, as another change has replaced it.
void Swaps::judge(std::list<Pending>::iterator swap, const Gateway::Answer& answer) {
  if (answer.ok) {
    const auto result = parse_swap(answer.text);
    if (result) {
      const bool own = swap->doubtful && result->found && result->found->value == swap->value;
      return end(swap, result->swapped || own);
    }
    gateway_.distrust(result.error());
  } else if (answer.code == Code::invalid && gateway_.ready()) {
    return end(swap, false);  // etcd takes less than max_value_bytes
  } else if (gateway_.ready()) {
    gateway_.pause(answer.text);
  }
  if (!answer.code) swap->doubtful = true;
}

void Swaps::end(std::list<Pending>::iterator swap, bool swapped) {
  const auto callback = std::move(swap->swapped);
  bytes_ -= swap->key.size() - prefix_.size() + swap->value.size();
  pending_.erase(swap);
  callback(swapped);
}

}  // namespace canopy::coordination::etcd
