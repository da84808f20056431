#include "core/coordination/etcd_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::coordination::etcd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class EtcdViewTest : public ::testing::Test {
 protected:
  // The events, as "KEY=VALUE@VERSION".
  std::vector<std::string> list(Revision revision, const std::vector<KeyValue>& keys) {
    std::vector<Event> events;
    view_.apply_list(revision, keys, events);
    return texts(events);
  }
  std::vector<std::string> listed_at_once(Revision revision, const std::vector<KeyValue>& keys) {
    view_.begin_list();
    return list(revision, keys);
  }
  std::vector<std::string> put(const std::string& key, const std::string& value, Revision at) {
    return change({{key, value, at}, false});
  }
  std::vector<std::string> erase(const std::string& key, Revision at) {
    return change({{key, "", at}, true});
  }

 private:
  std::vector<std::string> change(const WatchEvents::Change& change) {
    std::vector<Event> events;
    view_.apply({.changes = {change}}, events);
    return texts(events);
  }
  static std::vector<std::string> texts(const std::vector<Event>& events) {
    std::vector<std::string> all;
    for (const Event& each : events) {
      all.push_back(each.key + "=" + each.value.value_or("(gone)") + "@" +
                    std::to_string(each.version));
    }
    return all;
  }

 protected:
  View view_{"c/s/", 2};
};

TEST_F(EtcdViewTest, ListsTellDifferences) {
  EXPECT_THAT(listed_at_once(5, {{"c/s/a", "1", 3}, {"c/s/b", "1", 5}}),
              ElementsAre("s/a=1@3", "s/b=1@5"));
  EXPECT_THAT(listed_at_once(9, {{"c/s/a", "1", 3}, {"c/s/b", "1", 5}}), IsEmpty());
  EXPECT_THAT(listed_at_once(12, {{"c/s/b", "2", 11}, {"c/s/c", "1", 12}}),
              ElementsAre("s/b=2@11", "s/c=1@12", "s/a=(gone)@12"));
}

TEST_F(EtcdViewTest, ChangesAreToldOnce) {
  listed_at_once(5, {{"c/s/a", "1", 3}});
  EXPECT_THAT(put("c/s/a", "0", 2), IsEmpty());
  EXPECT_THAT(put("c/s/a", "2", 6), ElementsAre("s/a=2@6"));
  EXPECT_THAT(put("c/s/a", "2", 6), IsEmpty());
  EXPECT_THAT(erase("c/s/a", 7), ElementsAre("s/a=(gone)@7"));
  EXPECT_THAT(erase("c/s/a", 7), IsEmpty());
  EXPECT_THAT(put("elsewhere", "2", 8), IsEmpty());
}

TEST_F(EtcdViewTest, WhatAListHasToldAlreadyIsNotToldByTheWatch) {
  listed_at_once(9, {{"c/s/a", "1", 3}});
  EXPECT_THAT(put("c/s/b", "made and deleted before", 7), IsEmpty());
  EXPECT_THAT(erase("c/s/b", 8), IsEmpty());
  EXPECT_THAT(put("c/s/b", "1", 10), ElementsAre("s/b=1@10"));
}

TEST_F(EtcdViewTest, AListThatIsOlderThanTheWatchTakesNothingBack) {
  listed_at_once(5, {{"c/s/a", "1", 3}, {"c/s/b", "1", 3}});
  view_.begin_list();
  put("c/s/a", "2", 8);
  erase("c/s/b", 9);
  put("c/s/c", "1", 10);
  EXPECT_THAT(list(7, {{"c/s/a", "1", 3}, {"c/s/b", "1", 3}}), IsEmpty());
  // A watch from revision 8 on.
  EXPECT_THAT(put("c/s/a", "2", 8), IsEmpty());
  EXPECT_THAT(erase("c/s/b", 9), IsEmpty());
  EXPECT_THAT(put("c/s/c", "1", 10), IsEmpty());
  EXPECT_THAT(put("c/s/b", "2", 11), ElementsAre("s/b=2@11"));
}

TEST_F(EtcdViewTest, OfAnotherHistoryEverythingIsTold) {
  listed_at_once(50, {{"c/s/a", "1", 30}, {"c/s/b", "1", 3}});
  EXPECT_THAT(listed_at_once(4, {{"c/s/b", "other", 3}, {"c/s/c", "1", 4}}),
              ElementsAre("s/b=other@3", "s/c=1@4", "s/a=(gone)@4"));
  EXPECT_THAT(put("c/s/b", "2", 5), ElementsAre("s/b=2@5"));
}

}  // namespace
}  // namespace canopy::coordination::etcd
