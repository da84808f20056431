#include "proxy/prefix_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

namespace canopy::proxy {
namespace {

using Subscriber = PrefixGroups::Subscriber;

std::set<Subscriber*> matching(PrefixGroups& groups, std::string_view key) {
  std::set<Subscriber*> found;
  for (const PrefixGroups::Group* group : groups.match(key)) {
    for (Subscriber* member : group->members) {
      EXPECT_TRUE(found.insert(member).second) << "twice";
    }
  }
  return found;
}

TEST(PrefixGroups, EqualSetsAreOneGroupInWhateverOrderTheyCame) {
  PrefixGroups groups([](std::string_view) { return MirrorLease(); });
  Subscriber one;
  Subscriber two;
  Subscriber three;
  for (const char* prefix : {"/a/", "/b/"}) groups.add(one, prefix);
  for (const char* prefix : {"/b/", "/a/"}) groups.add(two, prefix);
  groups.add(three, "/a/");
  EXPECT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups.prefixes(), 2u);
  groups.remove(two, "/b/");
  EXPECT_EQ(groups.size(), 2u) << "two has joined three";
  groups.leave(three);
  groups.leave(two);
  EXPECT_EQ(groups.size(), 1u);
  groups.leave(one);
  EXPECT_TRUE(groups.empty());
  EXPECT_EQ(groups.prefixes(), 0u);
}

// Against a simple implementation.
TEST(PrefixGroups, MatchesAsEachSubscriptionByItselfDoes) {
  std::mt19937 random(3);
  const auto text = [&](std::size_t max_size) {
    std::string made(random() % (max_size + 1), 'a');
    for (char& each : made) each = static_cast<char>("ab/"[random() % 3]);
    return made;
  };
  for (int round = 0; round < 100; ++round) {
    PrefixGroups groups([](std::string_view) { return MirrorLease(); });
    std::vector<std::unique_ptr<Subscriber>> subscribers;
    std::map<Subscriber*, std::set<std::string>> prefixes;
    for (int i = 0; i < 8; ++i) subscribers.push_back(std::make_unique<Subscriber>());
    for (int step = 0; step < 200; ++step) {
      Subscriber& subscriber = *subscribers[random() % subscribers.size()];
      const std::string prefix = text(3);
      switch (random() % 8) {
        case 0:
          groups.leave(subscriber);
          prefixes[&subscriber].clear();
          break;
        case 1:
        case 2:
        case 3:
          groups.remove(subscriber, prefix);
          prefixes[&subscriber].erase(prefix);
          break;
        default:
          EXPECT_EQ(groups.add(subscriber, prefix), prefixes[&subscriber].insert(prefix).second);
      }
      const std::string key = text(6);
      std::set<Subscriber*> expected;
      std::set<std::set<std::string>> sets;
      for (const auto& each : subscribers) {
        const std::set<std::string>& own = prefixes[each.get()];
        for (const std::string& one : own) {
          if (key.starts_with(one)) expected.insert(each.get());
        }
        if (!own.empty()) sets.insert(own);
      }
      ASSERT_EQ(matching(groups, key), expected) << key;
      ASSERT_EQ(groups.size(), sets.size()) << "one group for each set";
    }
  }
}

TEST(PrefixGroups, HoldALeaseForEachSubscribedPrefix) {
  MirrorLeases leases;
  const auto held = [&] { return !leases.expired(0, {}, base::Duration{0}); };
  std::vector<std::string> asked;
  PrefixGroups groups([&](std::string_view prefix) {
    asked.emplace_back(prefix);
    return leases.hold("", {0});
  });
  Subscriber one;
  Subscriber other;
  groups.add(one, "/a/");
  groups.add(other, "/a/");
  EXPECT_EQ(asked, std::vector<std::string>{"/a/"});
  groups.leave(one);
  EXPECT_TRUE(held());
  groups.remove(other, "/a/");
  EXPECT_FALSE(held());
}

// A large set changes at the cost of the change.
TEST(PrefixGroups, ManyPrefixesOfOneAndOneOfMany) {
  PrefixGroups groups([](std::string_view) { return MirrorLease(); });
  Subscriber large;
  for (int i = 0; i < 100'000; ++i) groups.add(large, "/large/" + std::to_string(i) + "/");
  std::vector<std::unique_ptr<Subscriber>> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(std::make_unique<Subscriber>());
    groups.add(*many.back(), "/many/" + std::to_string(i) + "/");
  }
  EXPECT_EQ(groups.size(), 1001u);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(groups.match("/large/" + std::to_string(i) + "/x").size(), 1u);
  }
  EXPECT_EQ(matching(groups, "/many/77/x"), std::set<Subscriber*>{many[77].get()});
  for (int i = 0; i < 100'000; ++i) groups.remove(large, "/large/" + std::to_string(i) + "/");
  EXPECT_EQ(groups.size(), 1000u);
  EXPECT_EQ(groups.prefixes(), 1000u);
}

}  // namespace
}  // namespace canopy::proxy
