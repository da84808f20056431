// The subscribers of one Clone dialect, grouped by their set of prefixes: a flush encodes the
// updates of a group once. Pure; not thread-safe. Subscribers outlive their membership.
//
// An update finds its groups by one look-up for each length of a subscribed prefix. Large sets are
// never shared: each change would search for an equal set, at the cost of its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/text.h"
#include "proxy/mirror_lease.h"

namespace canopy::proxy {

class PrefixGroups {
 public:
  static constexpr std::size_t max_shared_prefixes = 256;

  struct Group;
  // Base of the owner's subscribers. Call leave() before its destruction.
  class Subscriber {
   public:
    using Prefixes = std::set<std::string, std::less<>>;

    const Prefixes& prefixes() const { return prefixes_; }
    std::size_t prefix_bytes() const { return prefix_bytes_; }
    bool has(std::string_view prefix) const { return prefixes_.contains(prefix); }

   private:
    friend class PrefixGroups;
    Prefixes prefixes_{};
    std::size_t prefix_bytes_ = 0;
    std::uint64_t hash_ = 0;  // sum of the hashes of its prefixes
    Group* group_ = nullptr;  // null without prefixes
  };
  struct Group {
    std::vector<Subscriber*> members{};  // at least one; all have the same prefixes
    std::size_t slot = SIZE_MAX;         // free for the caller of match()

   private:
    friend class PrefixGroups;
    std::uint64_t hash = 0;
    std::uint64_t matched = 0;  // number of the last call of match() that found it
  };

  // `lease` returns a lease on the mirrors of a prefix; held while a subscriber has the prefix.
  explicit PrefixGroups(std::function<MirrorLease(std::string_view prefix)> lease)
      : lease_(std::move(lease)) {}

  // True when the subscriber did not have the prefix.
  bool add(Subscriber& subscriber, std::string_view prefix);
  // Removes the prefix, however often it was added. Ignores a prefix that the subscriber lacks.
  void remove(Subscriber& subscriber, std::string_view prefix);
  void leave(Subscriber& subscriber);

  // The groups that subscribe to a key, each once. Valid until the next call of another function.
  const std::vector<Group*>& match(std::string_view key);

  bool empty() const { return groups_.empty(); }
  std::size_t size() const { return groups_.size(); }
  // Distinct prefixes of all subscribers.
  std::size_t prefixes() const { return index_.size(); }

 private:
  struct Node {
    std::vector<Group*> groups{};
    MirrorLease lease{};
  };

  void enter(std::string_view prefix, Group& group);
  void withdraw(std::string_view prefix, Group& group);
  Group* find_equal(const Subscriber& subscriber) const;
  // Moves the subscriber to another group after one of its prefixes changed.
  void regroup(Subscriber& subscriber, std::string_view changed, bool begins);
  void move_out(Subscriber& subscriber);
  Group& make_group(std::uint64_t hash);
  void rename(Group& group, std::uint64_t hash);

  std::function<MirrorLease(std::string_view prefix)> lease_;
  std::unordered_multimap<std::uint64_t, std::unique_ptr<Group>> groups_;  // by Group::hash
  base::TextMap<Node> index_;
  std::map<std::size_t, std::size_t> lengths_;  // length of prefixes -> number of prefixes
  std::vector<Group*> matching_;
  std::uint64_t matches_ = 0;
};

}  // namespace canopy::proxy
