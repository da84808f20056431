// Native clients of a proxy whose partitions are split: no client gets a false deletion or an older
// value, and every client ends with the exact state.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/unit/proxy/native_bench.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;

constexpr std::size_t queue_bytes = 8 << 10;

// A client that follows docs/reference/protocol.md. Values are numbers that grow.
class Follower {
 public:
  Follower(std::string subtree, std::uint32_t latest_ms)
      : subscription_{.subtree = std::move(subtree), .latest_ms = latest_ms} {}

  native::Watch ask(std::uint64_t request) {
    live_ = false;
    received_.clear();
    native::Watch watch{.request = request, .subscription = subscription_};
    for (const auto& [name, revision] : known_) {
      if (revision != keyspace::Revision()) watch.known.push_back({name, revision});
    }
    return watch;
  }
  void on_frame(const std::string& frame) {
    const auto status = native::decode_from_proxy(frame, message_);
    ASSERT_TRUE(status) << status.error();
    std::visit([this](auto& one) { on(one); }, message_);
  }
  bool live() const { return live_; }
  std::map<std::string, int> values() const {
    std::map<std::string, int> values;
    for (const auto& [key, entry] : entries_) values[key] = entry.second;
    return values;
  }
  const std::string& subtree() const { return subscription_.subtree; }

 private:
  void on(const native::Chunk& chunk) {
    const native::ChunkHeader& header = chunk.header;
    EXPECT_FALSE(live_);
    EXPECT_GE(header.revision, known_[header.partition]) << "it goes back";
    for (const native::Entry& entry : chunk.entries) {
      received_.insert(std::string(entry.key));
      apply(entry, header.mode == native::ChunkHeader::Mode::full);
    }
    if (header.more == native::ChunkHeader::More::same_partition) return;
    if (header.mode == native::ChunkHeader::Mode::full) {
      for (const auto& [key, entry] : entries_) {
        EXPECT_TRUE(received_.contains(key) || owner(key) != header.partition)
            << key << " is told to be deleted by a chunk of " << header.partition;
      }
    }
    known_[header.partition] = header.revision;
    if (header.more == native::ChunkHeader::More::last) received_.clear();
  }
  void on(const native::CaughtUp& caught_up) {
    live_ = true;
    position_ = caught_up.position;
  }
  void on(const native::Gap&) {
    live_ = false;
    received_.clear();
  }
  void on(const native::Batch& batch) {
    if (!live_) return;
    ASSERT_LE(batch.header.after, position_);
    for (std::size_t i = position_ - batch.header.after; i < batch.entries.size(); ++i) {
      const native::Entry& entry = batch.entries[i];
      if (subscription_.latest_ms == 0) {
        EXPECT_GT(entry.revision, known_[owner(entry.key)]) << entry.key;
      }
      apply(entry, false);
    }
    position_ = std::max(position_, batch.end());
    for (const auto& [name, revision] : batch.header.revisions) {
      known_[name] = std::max(known_[name], revision);
    }
  }
  template <typename Other>
  void on(const Other&) {}

  void apply(const native::Entry& entry, bool full) {
    ASSERT_FALSE(entry.deleted) << entry.key;
    auto& [revision, value] = entries_[std::string(entry.key)];
    if (full ? entry.revision == revision : entry.revision <= revision) return;
    const int latest = std::stoi(std::string(entry.value));
    EXPECT_GE(latest, value) << entry.key << " goes back";
    revision = entry.revision;
    value = latest;
  }
  std::string owner(std::string_view key) const {
    std::string best;
    for (const auto& [name, revision] : known_) {
      if (key.starts_with(name) && name.size() >= best.size()) best = name;
    }
    return best;
  }

  const native::Subscription subscription_;
  std::map<std::string, keyspace::Revision> known_{};
  std::map<std::string, std::pair<keyspace::Revision, int>> entries_{};
  std::set<std::string> received_{};
  bool live_ = false;
  std::uint64_t position_ = 0;
  native::FromProxy message_;
};

class Splitting {
 public:
  explicit Splitting(unsigned seed) : random_(seed) {
    bench_.backend.mirrored.sync(0);
    bench_.frontend.begin_generation(1);
    const std::vector<std::string> subtrees{"", "/a/", "/a/b/", "/c/", "/a/b/1"};
    for (int i = 0; i < 8; ++i) {
      clients_.push_back(
          {.follower = Follower(subtrees[any(subtrees.size())], any(4) == 0 ? 20 : 0)});
      watch(clients_.back());
    }
  }

  void run() {
    for (int i = 0; i < 1'500 && !testing::Test::HasFailure(); ++i) step();
    begin();
    bench_.backend.config.client_queue_bytes = queue_bytes;
    for (int round = 0; round < 3; ++round) {
      bool more = true;
      for (int turns = 0; more && turns < 10'000; ++turns) {
        more = bench_.turn() == base::Duration{0};
        for (Client& client : clients_) more |= drain(client, 4'000);
      }
      bench_.backend.time += 20ms;
    }
    for (const Client& client : clients_) {
      EXPECT_TRUE(client.follower.live());
      std::map<std::string, int> wanted;
      for (const auto& [key, value] : values_) {
        if (native::covers(client.follower.subtree(), key)) wanted[key] = value;
      }
      EXPECT_EQ(client.follower.values(), wanted) << client.follower.subtree();
    }
  }

 private:
  struct Client {
    FakeConnection* connection = nullptr;
    Follower follower;
  };

  std::size_t any(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
  }
  void step() {
    const std::size_t dice = any(1000);
    Client& client = clients_[any(clients_.size())];
    if (dice < 500) return put();
    if (dice < 700) return static_cast<void>(bench_.turn());
    if (dice < 900) return static_cast<void>(drain(client, 1 + any(6'000)));
    if (dice < 920) return watch(client);
    if (dice < 930) return elect();
    if (dice < 940) return split();
    if (dice < 960) {
      bench_.backend.config.client_queue_bytes = any(3) == 0 ? any(queue_bytes) : queue_bytes;
      return;
    }
    bench_.backend.time += std::chrono::milliseconds(any(50));
  }
  void put() {
    static const std::vector<std::string> prefixes{"/a/", "/a/b/", "/c/", "/"};
    const std::string key = prefixes[any(prefixes.size())] + std::to_string(any(30));
    const auto& mirrored = bench_.backend.mirrored;
    if (!mirrored.mirror(mirrored.owner(key))->ready()) return;
    values_[key] = ++last_value_;
    bench_.put(key, std::to_string(last_value_) + std::string(any(100), ' '));
  }
  // Another leader, which continues from the present state.
  void elect() {
    const std::size_t partition = any(1 + splits_);
    if (bench_.backend.mirrored.mirror(partition)->ready()) {
      bench_.backend.mirrored.begin(partition);
    }
  }
  void begin() {
    if (!begun_) bench_.backend.mirrored.begin(splits_);
    begun_ = true;
  }
  void split() {
    if (!begun_) return begin();
    if (to_split_.empty()) return;
    const auto made = bench_.backend.mirrored.split(to_split_.back());
    to_split_.pop_back();
    splits_ = made.part;
    begun_ = false;
    bench_.frontend.divide(made.whole, made.part, made.known);
  }
  // Over a new connection, with what the client knows.
  void watch(Client& client) {
    if (client.connection != nullptr) bench_.disconnect(*client.connection);
    client.connection = &bench_.connect();
    bench_.ask(*client.connection, client.follower.ask(1));
  }
  bool drain(Client& client, std::size_t bytes) {
    const auto frames = bench_.drain(*client.connection, bytes);
    for (const std::string& frame : frames) client.follower.on_frame(frame);
    return !frames.empty();
  }

  std::mt19937 random_;
  NativeBench bench_{{""}, {.name = "p1", .client_queue_bytes = queue_bytes, .max_snapshots = 2}};
  std::vector<Client> clients_;
  std::map<std::string, int> values_;
  int last_value_ = 0;
  std::vector<std::string> to_split_{"/a/b/", "/c/", "/a/"};
  std::size_t splits_ = 0;
  bool begun_ = true;
};

TEST(NativeSplit, NoClientIsToldADeletionOrAnOlderValue) {
  for (unsigned seed = 1; seed <= 150 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Splitting(seed).run();
  }
}

}  // namespace
}  // namespace canopy::proxy
