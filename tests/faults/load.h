// Clients that print their operations and the changes that they receive, one line each (history.py
// reads them). All objects belong to the thread of their loop.
//
//   op WRITER NUMBER CALL RETURN OUTCOME FAULT REVISION KIND {KEY IF_REVISION VALUE}…
//   read WRITER CALL RETURN KEY REVISION VALUE    what a proxy had; revision 0: no such key
//   seen TIME PARTITION KEY REVISION VALUE        by the first watcher that received it; the
//                                                 REVISION of a deletion is an upper bound
//   hole TIME WATCHER PARTITION FIRST LAST        revisions that did not reach a watcher
//   breach TIME WATCHER KEY REVISION WHAT…
//
// Times are nanoseconds of CLOCK_MONOTONIC. OUTCOME is ok, refused or unknown: without an answer in
// time, a write may or may not be applied. A VALUE of - is a deletion, an IF_REVISION of - is no
// condition. Subtrees are written as in the configuration: the root is *.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "loadtest/measure/session_client.h"
#include "tests/faults/observation.h"

namespace canopy::faults {

struct Load {
  std::vector<std::string> proxies{};  // tcp://HOST:PORT
  std::vector<std::string> partitions{""};
  std::size_t keys = 50;  // over all partitions
  std::size_t writers = 50;
  std::size_t watchers = 250;
  double rate = 500;  // operations a second, of all writers together
  std::chrono::milliseconds timeout{10'000};
  std::uint64_t seed = 1;
  bool strict = false;  // the order of changes is checked around new epochs too
};

// What all clients know together: the key and value of each revision.
class Record {
 public:
  explicit Record(const Load& load);

  const std::vector<std::string>& partitions() const { return load_.partitions; }
  const std::vector<std::string>& keys(std::size_t partition) const { return keys_[partition]; }
  // The last known revision of a key; 0: no such key.
  std::uint64_t current(const std::string& key) const;

  void written(const std::string& key, keyspace::Revision revision, bool deleted);
  void seen(const client::Change& change, std::size_t watcher);
  void found(const Observation::Finding& finding, std::size_t watcher);

 private:
  struct Entry {
    std::string key{}, value{};

    bool operator==(const Entry&) const = default;
  };
  struct Latest {
    keyspace::Revision revision{};
    bool deleted = true;
  };

  const Load& load_;
  std::vector<std::vector<std::string>> keys_;                       // by partition
  std::vector<std::unordered_map<std::uint64_t, Entry>> revisions_;  // by partition
  std::set<Observation::Hole> holes_;
  std::unordered_map<std::string, Latest> latest_;  // by key
};

// Sends one operation after another, at a constant rate while answers arrive in time.
class Writer final : public measure::SessionClient {
 public:
  Writer(const Load& load, std::size_t index, Record& record, net::Connections& server);
  void write();  // the first operation
  // Sends no further operation.
  void finish() { finishing_ = true; }
  bool idle() const { return !open_; }

 private:
  void answered(client::CallId call, client::Answer answer) override;

  void next();
  void read(const std::string& key);
  void choose();
  void add(const std::string& key, bool deletes, std::optional<std::uint64_t> if_revision);
  const std::string& some_key();

  const Load& load_;
  const std::size_t index_;
  Record& record_;
  std::mt19937_64 random_;
  std::uint64_t number_ = 0;
  bool finishing_ = false;
  // The current operation.
  bool open_ = false;
  std::int64_t called_ = 0;
  const char* kind_ = "";
  std::string key_{};                  // of a read
  std::vector<wire::Write> writes_{};  // of a write
};

class Watcher final : public measure::SessionClient {
 public:
  Watcher(const Load& load, std::size_t index, Record& record, net::Connections& server);
  void watch();
  const Observation::Map& map() const { return observation_.map(); }
  // Prints "watcher INDEX LIVE SYNCS GAPS TAKEOVERS".
  void sum_up();

 private:
  void changed(client::WatchId watch, const client::Change& change) override;
  void synced(client::WatchId watch, const client::Synced& synced) override;
  void missed(client::WatchId watch, std::optional<std::uint64_t> updates) override;
  void refused(client::WatchId watch, const client::Answer& why) override;

  const std::size_t index_;
  const bool every_;
  Record& record_;
  Observation observation_;
  std::uint64_t syncs_ = 0, gaps_ = 0;
};

// Of a session through `proxies` (tcp://HOST:PORT).
client::Settings settings(const std::vector<std::string>& proxies, std::uint64_t seed);

// Reads the whole state through one proxy.
class Reader final : public measure::SessionClient {
 public:
  Reader(const Load& load, std::size_t index, net::Connections& server)
      : SessionClient(server, settings({load.proxies[index]}, load.seed + index)) {}
  void ask();
  bool asking() const { return asking_; }
  // The last state; absent when the last read failed.
  const std::optional<Observation::Map>& map() const { return map_; }

 private:
  void answered(client::CallId call, client::Answer answer) override;

  client::CallId call_ = 0;
  bool asking_ = false;
  std::optional<Observation::Map> map_{};
};

}  // namespace canopy::faults
