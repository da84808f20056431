#include "tests/faults/linear.h"

#include <algorithm>
#include <optional>
#include <random>
#include <unordered_map>
#include <unordered_set>

namespace canopy::faults {

namespace {

constexpr Value no_value = std::numeric_limits<Value>::max();
constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

// A call, or the return of an operation that has one.
struct Event {
  std::int64_t at = 0;
  std::size_t operation = 0;
  bool is_return = false;
};

// A set of operations by its hash: each has 128 random bits, and the set is their exclusive or.
struct Configuration {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  Value value = 0;

  bool operator==(const Configuration&) const = default;
};

struct ConfigurationHash {
  std::size_t operator()(const Configuration& of) const {
    return of.high ^ (of.value * 0x9e3779b97f4a7c15u);
  }
};

std::optional<Value> apply(const Operation& operation, Value value) {
  switch (operation.kind) {
    case Operation::Kind::set: return operation.value;
    case Operation::Kind::swap:
      return value == operation.expected ? std::optional(operation.value) : std::nullopt;
    case Operation::Kind::is:
      return value == operation.expected ? std::optional(value) : std::nullopt;
    case Operation::Kind::isnt:
      return value != operation.expected ? std::optional(value) : std::nullopt;
  }
  return std::nullopt;
}

// The remaining events in a doubly linked list, which removes and restores an event in constant
// time. `size` is its end.
class Links {
 public:
  explicit Links(std::size_t size) : next_(size + 1), previous_(size + 1) {
    for (std::size_t i = 0; i <= size; ++i) {
      next_[i] = i == size ? 0 : i + 1;
      previous_[i] = i == 0 ? size : i - 1;
    }
  }
  std::size_t end() const { return next_.size() - 1; }
  std::size_t first() const { return next_[end()]; }
  std::size_t after(std::size_t index) const { return next_[index]; }
  void remove(std::size_t index) {
    next_[previous_[index]] = next_[index];
    previous_[next_[index]] = previous_[index];
  }
  void restore(std::size_t index) {
    next_[previous_[index]] = index;
    previous_[next_[index]] = index;
  }

 private:
  std::vector<std::size_t> next_;
  std::vector<std::size_t> previous_;
};

class Search {
 public:
  Search(const std::vector<Operation>& operations, Value initial)
      : operations_(operations),
        events_(events_of(operations)),
        places_(operations.size()),
        links_(events_.size()),
        value_(initial) {
    std::mt19937_64 random(operations.size());
    for (std::size_t i = 0; i < operations.size(); ++i) {
      hashes_.push_back({random(), random(), 0});
      returns_left_ += operations[i].returned != Operation::never;
    }
    for (std::size_t i = 0; i < events_.size(); ++i) {
      Places& places = places_[events_[i].operation];
      (events_[i].is_return ? places.returned : places.call) = i;
    }
  }

  Verdict run(std::size_t max_steps) {
    if (returns_left_ > 0) levels_.push_back({candidates(), 0, value_});
    while (returns_left_ > 0) {
      if (++steps_ > max_steps) return {Verdict::Outcome::unknown, 0, steps_};
      Level& level = levels_.back();
      if (level.tried < level.candidates.size()) {
        if (!happen(level.candidates[level.tried++])) continue;
        levels_.push_back({candidates(), 0, value_});
      } else {
        levels_.pop_back();
        if (levels_.empty()) return {Verdict::Outcome::violated, blocked_, steps_};
        undo(levels_.back());
      }
    }
    return {Verdict::Outcome::linearizable, 0, steps_};
  }

 private:
  // Of an operation, in events_.
  struct Places {
    std::size_t call = none;
    std::size_t returned = none;
  };
  struct Level {
    std::vector<std::size_t> candidates;  // operations that may be next
    std::size_t tried = 0;
    Value before = 0;
  };

  static std::vector<Event> events_of(const std::vector<Operation>& operations) {
    std::vector<Event> events;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      events.push_back({operations[i].call, i, false});
      if (operations[i].returned != Operation::never) {
        events.push_back({operations[i].returned, i, true});
      }
    }
    // At the same time a call comes first: the two operations are then concurrent.
    std::ranges::sort(events, [](const Event& a, const Event& b) {
      return a.at != b.at ? a.at < b.at : a.is_return < b.is_return;
    });
    return events;
  }

  // The operations called before the first remaining return.
  std::vector<std::size_t> candidates() {
    std::vector<std::size_t> found;
    std::size_t at = links_.first();
    for (; at != links_.end() && !events_[at].is_return; at = links_.after(at)) {
      const std::size_t index = events_[at].operation;
      const Operation& each = operations_[index];
      const bool reads = each.kind == Operation::Kind::is || each.kind == Operation::Kind::isnt;
      // A read that fits can be ordered first without loss.
      if (reads && apply(each, value_)) return {index};
      found.push_back(index);
    }
    if (at != links_.end()) note_progress(at);
    // Operations that must happen come first, so that the memory stays small.
    std::ranges::stable_sort(found, {}, [this](std::size_t index) {
      const Operation& each = operations_[index];
      return std::pair(each.returned == Operation::never, each.hint);
    });
    return found;
  }

  bool happen(std::size_t index) {
    const auto value = apply(operations_[index], value_);
    if (!value) return false;
    Configuration next = set_;
    toggle(next, index);
    next.value = *value;
    if (!seen_.insert(next).second) return false;
    set_ = next;
    value_ = *value;
    links_.remove(places_[index].call);
    if (places_[index].returned != none) {
      links_.remove(places_[index].returned);
      --returns_left_;
    }
    return true;
  }

  void undo(const Level& level) {
    const std::size_t index = level.candidates[level.tried - 1];
    toggle(set_, index);
    value_ = level.before;
    if (places_[index].returned != none) {
      links_.restore(places_[index].returned);
      ++returns_left_;
    }
    links_.restore(places_[index].call);
  }

  void toggle(Configuration& set, std::size_t index) const {
    set.high ^= hashes_[index].high;
    set.low ^= hashes_[index].low;
  }

  // Keeps the furthest return that no order includes.
  void note_progress(std::size_t first_return) {
    if (first_return < furthest_) return;
    furthest_ = first_return;
    blocked_ = events_[first_return].operation;
  }

  const std::vector<Operation>& operations_;
  std::vector<Event> events_;          // by time
  std::vector<Places> places_;         // by operation
  std::vector<Configuration> hashes_;  // by operation
  Links links_;
  std::vector<Level> levels_;
  std::unordered_set<Configuration, ConfigurationHash> seen_;
  Configuration set_;
  Value value_;
  std::size_t returns_left_ = 0;
  std::size_t furthest_ = 0;
  std::size_t blocked_ = 0;
  std::size_t steps_ = 0;
};

bool expects(const Operation& operation) {
  return operation.kind == Operation::Kind::swap || operation.kind == Operation::Kind::is;
}

// Each operation with an unknown result doubles the search. When another operation read its value,
// it has happened before that one returned, as values are unique. When no operation read its value,
// it can be left out, unless an operation reports that a value was not the expected one.
std::vector<Operation> resolved(std::vector<Operation> operations) {
  std::unordered_map<Value, std::int64_t> read;  // first return of an operation that read it
  for (bool changed = true; changed;) {
    changed = false;
    for (const Operation& each : operations) {
      if (!expects(each) || each.expected == 0 || each.returned == Operation::never) continue;
      const auto [at, is_new] = read.try_emplace(each.expected, each.returned);
      if (!is_new) at->second = std::min(at->second, each.returned);
    }
    for (Operation& each : operations) {
      const auto found = read.find(each.value);
      if (each.returned != Operation::never || each.value == 0 || found == read.end()) continue;
      each.returned = std::max(found->second, each.call);
      changed = true;
    }
  }
  const bool all_needed = std::ranges::any_of(
      operations, [](const Operation& each) { return each.kind == Operation::Kind::isnt; });
  for (Operation& each : operations) {
    const bool needed = all_needed || each.returned != Operation::never || each.value == 0;
    if (!needed) each = {.call = each.call, .kind = Operation::Kind::isnt, .expected = no_value};
  }
  return operations;
}

}  // namespace

Verdict check(const std::vector<Operation>& operations, Value initial, std::size_t max_steps) {
  const auto history = resolved(operations);
  return Search(history, initial).run(max_steps);
}

}  // namespace canopy::faults
