// The subscribers of one Clone dialect, grouped by their set of prefixes: what a flush has for a
// group is encoded once. Pure; not thread-safe.
//
// An update finds its groups by one look-up for each length of a subscribed prefix. A large set is
// never shared: looking for an equal one, each time that it changes, would cost its size.
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
  // Base of what the owner keeps for a subscriber; must have left before it ends.
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
    std::uint64_t hash_ = 0;  // the sum of those of the prefixes
    Group* group_ = nullptr;  // null without prefixes
  };
  struct Group {
    std::vector<Subscriber*> members{};  // at least one; all have the same prefixes
    std::size_t slot = SIZE_MAX;         // for the user of match()

   private:
    friend class PrefixGroups;
    std::uint64_t hash = 0;
    std::uint64_t matched = 0;  // by which call of match()
  };

  // `lease` is asked for what holds the mirrors of a prefix while it is subscribed to.
  explicit PrefixGroups(std::function<MirrorLease(std::string_view prefix)> lease)
      : lease_(std::move(lease)) {}

  // Whether the prefix is new to the subscriber.
  bool add(Subscriber& subscriber, std::string_view prefix);
  // Ends the subscription however often it was begun; one that was not is ignored.
  void remove(Subscriber& subscriber, std::string_view prefix);
  void leave(Subscriber& subscriber);

  // The groups that a key belongs to, each once. Valid until the next other call.
  const std::vector<Group*>& match(std::string_view key);

  bool empty() const { return groups_.empty(); }
  std::size_t size() const { return groups_.size(); }
  // Different ones.
  std::size_t prefixes() const { return index_.size(); }

 private:
  struct Node {
    std::vector<Group*> groups{};
    MirrorLease lease{};
  };

  void enter(std::string_view prefix, Group& group);
  void withdraw(std::string_view prefix, Group& group);
  Group* find_equal(const Subscriber& subscriber) const;
  // After its prefixes have changed by one.
  void regroup(Subscriber& subscriber, std::string_view changed, bool begins);
  void move_out(Subscriber& subscriber);
  Group& make_group(std::uint64_t hash);
  void rename(Group& group, std::uint64_t hash);

  std::function<MirrorLease(std::string_view prefix)> lease_;
  std::unordered_multimap<std::uint64_t, std::unique_ptr<Group>> groups_;  // by Group::hash
  base::TextMap<Node> index_;
  std::map<std::size_t, std::size_t> lengths_;  // of prefixes, and how many have it
  std::vector<Group*> matching_;
  std::uint64_t matches_ = 0;
};

}  // namespace canopy::proxy
