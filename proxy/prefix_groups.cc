#include "proxy/prefix_groups.h"

#include <algorithm>

namespace canopy::proxy {

bool PrefixGroups::add(Subscriber& subscriber, std::string_view prefix) {
  auto& prefixes = subscriber.prefixes_;
  if (prefixes.contains(prefix)) return false;
  prefixes.emplace(prefix);
  subscriber.prefix_bytes_ += prefix.size();
  subscriber.hash_ += base::TextHash()(prefix);
  regroup(subscriber, prefix, true);
  return true;
}

void PrefixGroups::remove(Subscriber& subscriber, std::string_view prefix) {
  const auto known = subscriber.prefixes_.find(prefix);
  if (known == subscriber.prefixes_.end()) return;
  const auto ended = subscriber.prefixes_.extract(known);
  subscriber.prefix_bytes_ -= ended.value().size();
  subscriber.hash_ -= base::TextHash()(ended.value());
  regroup(subscriber, ended.value(), false);
}

void PrefixGroups::leave(Subscriber& subscriber) {
  if (subscriber.group_ != nullptr) move_out(subscriber);
  subscriber.prefixes_.clear();
  subscriber.prefix_bytes_ = 0;
  subscriber.hash_ = 0;
}

// A group with one member changes with it. In a shared group the other members stay.
void PrefixGroups::regroup(Subscriber& subscriber, std::string_view changed, bool begins) {
  Group* const equal = find_equal(subscriber);
  Group* const own = subscriber.group_;
  const auto reindex = [&] { begins ? enter(changed, *own) : withdraw(changed, *own); };
  const bool alone = own != nullptr && own->members.size() == 1;
  if (alone && equal == nullptr && !subscriber.prefixes_.empty()) {
    reindex();
    return rename(*own, subscriber.hash_);
  }
  if (alone) reindex();  // the group ends with the last prefix of its member
  if (own != nullptr) move_out(subscriber);
  if (subscriber.prefixes_.empty()) return;
  Group& group = equal != nullptr ? *equal : make_group(subscriber.hash_);
  if (equal == nullptr) {
    for (const std::string& prefix : subscriber.prefixes_) enter(prefix, group);
  }
  group.members.push_back(&subscriber);
  subscriber.group_ = &group;
}

// If the group ends here, the index holds exactly the subscriber's prefixes for it.
void PrefixGroups::move_out(Subscriber& subscriber) {
  Group& group = *std::exchange(subscriber.group_, nullptr);
  std::erase(group.members, &subscriber);
  if (!group.members.empty()) return;
  for (const std::string& prefix : subscriber.prefixes_) withdraw(prefix, group);
  const auto [first, last] = groups_.equal_range(group.hash);
  groups_.erase(
      std::find_if(first, last, [&](const auto& each) { return each.second.get() == &group; }));
}

PrefixGroups::Group* PrefixGroups::find_equal(const Subscriber& subscriber) const {
  const auto& prefixes = subscriber.prefixes_;
  if (prefixes.empty() || prefixes.size() > max_shared_prefixes) return nullptr;
  const auto [first, last] = groups_.equal_range(subscriber.hash_);
  for (auto at = first; at != last; ++at) {
    Group* const group = at->second.get();
    if (group == subscriber.group_) continue;
    if (group->members.front()->prefixes_ == prefixes) return group;
  }
  return nullptr;
}

PrefixGroups::Group& PrefixGroups::make_group(std::uint64_t hash) {
  auto made = std::make_unique<Group>();
  made->hash = hash;
  return *groups_.emplace(hash, std::move(made))->second;
}

void PrefixGroups::rename(Group& group, std::uint64_t hash) {
  const auto [first, last] = groups_.equal_range(group.hash);
  auto node = groups_.extract(
      std::find_if(first, last, [&](const auto& each) { return each.second.get() == &group; }));
  group.hash = hash;
  node.key() = hash;
  groups_.insert(std::move(node));
}

void PrefixGroups::enter(std::string_view prefix, Group& group) {
  auto known = index_.find(prefix);
  if (known == index_.end()) {
    known = index_.emplace(prefix, Node{.groups = {}, .lease = lease_(prefix)}).first;
    ++lengths_[prefix.size()];
  }
  known->second.groups.push_back(&group);
}

void PrefixGroups::withdraw(std::string_view prefix, Group& group) {
  const auto known = index_.find(prefix);
  std::erase(known->second.groups, &group);
  if (!known->second.groups.empty()) return;
  index_.erase(known);
  const auto length = lengths_.find(prefix.size());
  if (--length->second == 0) lengths_.erase(length);
}

const std::vector<PrefixGroups::Group*>& PrefixGroups::match(std::string_view key) {
  matching_.clear();
  ++matches_;
  for (const auto& [length, count] : lengths_) {
    if (length > key.size()) break;
    const auto node = index_.find(key.substr(0, length));
    if (node == index_.end()) continue;
    for (Group* group : node->second.groups) {
      if (std::exchange(group->matched, matches_) != matches_) matching_.push_back(group);
    }
  }
  return matching_;
}

}  // namespace canopy::proxy
