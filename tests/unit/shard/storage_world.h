// Shared by the tests of Storage: a directory, operations like those of a replica, and a model of
// the state that a store must recover.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/wire/entry.h"
#include "shard/storage.h"

namespace canopy::shard {

namespace fs = std::filesystem;
using cluster::Replica;
using keyspace::LogEntry;
using keyspace::Revision;

class Directory {
 public:
  Directory()
      : path_(fs::temp_directory_path() /
              ("canopy-storage-" + std::to_string(getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Directory() { fs::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  // Of the database `name`, in the order of their numbers.
  std::vector<fs::path> files(const std::string& name, const std::string& extension) const {
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(path_ / name)) {
      if (file.path().extension() == extension) found.push_back(file.path());
    }
    std::ranges::sort(found);
    return found;
  }

 private:
  fs::path path_;
};

inline LogEntry entry(Revision revision, const std::string& key, const std::string& value,
                      bool deleted = false) {
  return {.update = wire::make_update(
              {.key = key, .value = value, .revision = revision, .deleted = deleted})};
}

// With a request that it completes.
inline LogEntry requested(Revision revision, const std::string& key, const std::string& value,
                          std::uint64_t number) {
  LogEntry made = entry(revision, key, value);
  made.request = std::make_shared<keyspace::AppliedRequest>(
      keyspace::AppliedRequest{.client = "client " + std::to_string(number % 3),
                               .number = number,
                               .settled = number / 2,
                               .revision = revision});
  return made;
}

inline std::vector<Storage::Operations> group(const std::string& partition,
                                              std::vector<Replica::Operation> operations) {
  Storage::Operations made{.partition = partition};
  for (auto& operation : operations) {
    made.operations.push_back({.sequence = 0, .operation = std::move(operation)});
  }
  return {std::move(made)};
}

// The whole state as text.
inline std::string shown(const Replica::Recovered& recovered) {
  std::string text = "committed " + std::to_string(recovered.committed.value()) + "\ntree";
  for (auto at = recovered.tree.view().seek({}); !at.done(); at.next()) {
    text += " " + std::string((*at)->key) + "@" + std::to_string((*at)->revision.value()) + "=" +
            std::to_string(std::hash<std::string_view>()((*at)->value));
  }
  const auto request = [&](const keyspace::AppliedRequest& each) {
    text += " " + each.client + "#" + std::to_string(each.number) + "/" +
            std::to_string(each.settled) + "@" + std::to_string(each.revision.value());
  };
  text += "\nrequests";
  for (const auto& each : recovered.requests) request(each);
  text += "\ntail";
  for (const LogEntry& each : recovered.tail) {
    text += " " + std::string(each.update->key) + "@" +
            std::to_string(each.update->revision.value()) + (each.completes ? "." : "");
    if (each.request) request(*each.request);
  }
  text += "\nhistory";
  for (const auto& [epoch, lineage, last] : recovered.history) {
    text +=
        " " + std::to_string(epoch) + "/" + std::to_string(lineage) + "/" + std::to_string(last);
  }
  if (recovered.record) text += "\nrecord " + records::encode(*recovered.record);
  return text;
}

// A sequence of operations that a replica could ask for, drawn from a seed, and what a store has to
// recover after each group.
class Story {
 public:
  explicit Story(std::uint64_t seed, std::size_t value_bytes = 40)
      : random_(seed), value_bytes_(value_bytes) {}

  // Of one group.
  std::vector<Replica::Operation> next() {
    std::vector<Replica::Operation> operations;
    if (expected_.history.empty()) operations.emplace_back(begin_epoch());
    for (auto count = draw(1, 4); count > 0; --count) operations.push_back(draw_operation());
    return operations;
  }
  const Replica::Recovered& expected() const { return expected_; }

 private:
  std::uint64_t draw(std::uint64_t min, std::uint64_t max) {
    return std::uniform_int_distribution(min, max)(random_);
  }

  Replica::Operation draw_operation() {
    switch (draw(0, 19)) {
      case 0: return begin_epoch();
      case 1: return remember();
      case 2:  // never before the first epoch
        if (expected_.committed.epoch() == 0) return commit();
        return truncate();
      case 3: return draw(0, 3) == 0 ? Replica::Operation(install()) : commit();
      case 4:
      case 5:
      case 6:
      case 7: return commit();
      case 8:
      case 9: return store(true);
      default: return store(false);
    }
  }

  Replica::BeginEpoch begin_epoch() {
    const auto epoch = static_cast<std::uint32_t>(last_.epoch() + draw(1, 3));
    const std::uint64_t lineage = random_();
    expected_.history.push_back({.epoch = epoch, .lineage = lineage});
    last_ = Revision(epoch, 0);
    return {.epoch = epoch, .lineage = lineage};
  }

  Replica::StoreEntries store(bool committed) {
    Replica::StoreEntries operation{.committed = committed};
    if (committed) apply_tail(last_);
    for (auto count = draw(1, 8); count > 0; --count) {
      last_ = last_.next();
      const std::string key = "/story/" + std::to_string(draw(0, 40));
      LogEntry made = draw(0, 4) == 0 ? entry(last_, key, {}, true)
                                      : requested(last_, key, random_value(), last_.value());
      made.completes = made.request != nullptr || draw(0, 1) == 0;
      operation.entries.push_back(made);
      expected_.tail.push_back(made);
    }
    if (committed) apply_tail(last_);
    expected_.history.back().last = last_.counter();
    return operation;
  }

  Replica::Commit commit() {
    const Revision to = expected_.tail.empty() ? last_ : drawn_entry();
    apply_tail(to);
    return {.to = to};
  }

  Replica::Truncate truncate() {
    const Revision to = expected_.tail.empty() ? expected_.committed : drawn_entry();
    auto& tail = expected_.tail;
    while (!tail.empty() && tail.back().update->revision > to) tail.pop_back();
    auto& history = expected_.history;
    while (!history.empty() && history.back().epoch > to.epoch()) history.pop_back();
    if (!history.empty()) history.back().last = to.counter();
    last_ = to;
    return {.to = to};
  }

  Replica::Install install() {
    const Revision cut(last_.epoch() + 1, draw(0, 1000));
    expected_.tree = {};
    for (auto count = draw(0, 60); count > 0; --count) {
      expected_.tree.put(
          entry(cut, "/installed/" + std::to_string(draw(0, 200)), random_value()).update);
    }
    expected_.requests.resize(std::min<std::size_t>(expected_.requests.size(), draw(0, 20)));
    expected_.history = {{.epoch = cut.epoch(), .lineage = random_(), .last = cut.counter()}};
    expected_.tail.clear();
    expected_.committed = last_ = cut;
    return {.tree = expected_.tree.view(),
            .requests = expected_.requests,
            .cut = cut,
            .history = expected_.history};
  }

  Replica::Remember remember() {
    cluster::PartitionRecord record{.epoch = last_.epoch(), .lineage = random_()};
    record.leader = {"s1", "one"};
    for (auto count = draw(0, 3); count > 0; --count) {
      record.in_sync.push_back({"s" + std::to_string(count), std::to_string(random_())});
    }
    if (draw(0, 1) == 1) record.placement = {"s2", "s1"};
    expected_.record = record;
    return {.record = record};
  }

  Revision drawn_entry() {
    return expected_.tail[draw(0, expected_.tail.size() - 1)].update->revision;
  }
  std::string random_value() { return std::string(draw(0, value_bytes_), 'v') + "."; }

  void apply_tail(Revision to) {
    auto& tail = expected_.tail;
    while (!tail.empty() && tail.front().update->revision <= to) {
      expected_.tree.apply(tail.front().update);
      if (tail.front().request) expected_.requests.push_back(*tail.front().request);
      tail.erase(tail.begin());
    }
    expected_.committed = std::max(expected_.committed, to);
  }

  std::mt19937_64 random_;
  std::size_t value_bytes_;
  Replica::Recovered expected_;
  Revision last_;
};

}  // namespace canopy::shard
