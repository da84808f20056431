// Random updates, renewals, watches and slow readers: every client ends with the exact state, gets
// the exact number of missed updates, and takes a bounded amount of memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/unit/proxy/native_bench.h"
#include "tests/unit/proxy/reference_client.h"

namespace canopy::proxy {
namespace {

namespace native = wire::native;
using namespace std::chrono_literals;

constexpr std::size_t queue_bytes = 16 << 10;
// Replies that are not counted as part of the queue's bound: gaps, caught_up, headers of chunks.
constexpr std::size_t slack = 1 << 10;
const std::vector<std::string> partitions{"/a/", "/b/", ""};
const std::vector<std::string> subtrees{"", "/a/", "/b/", "/a/x/", "/c/", "/a/x/1"};

class RandomRun {
 public:
  explicit RandomRun(unsigned seed) : random_(seed) {
    for (std::size_t i = 0; i < partitions.size(); ++i) bench_.backend.mirrored.sync(i);
    bench_.frontend.begin_generation(generation_);
    for (int i = 0; i < 5; ++i) connect();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      check_memory();
    }
    settle();
    check_clients();
  }
  std::uint64_t missed() const { return bench_.frontend.missed(); }

 private:
  struct Client {
    FakeConnection* connection;
    ReferenceClient reference{};
    std::uint64_t last_request = 0;
    bool slow = false;
  };
  struct Applied {
    std::string key;
    std::uint64_t revision;
  };

  std::size_t any(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
  }
  Client& any_client() {
    return *std::next(clients_.begin(), static_cast<long>(any(clients_.size())));
  }

  void step() {
    const std::size_t dice = any(1000);
    if (dice < 500) {
      update();
    } else if (dice < 700) {
      bench_.turn();
    } else if (dice < 850) {
      Client& client = any_client();
      if (!client.slow || any(8) == 0) drain(client, 1 + any(8'000));
    } else if (dice < 900) {
      watch(any_client());
    } else if (dice < 930) {
      unwatch(any_client());
    } else if (dice < 935) {
      disconnect();
    } else if (dice < 937) {
      renew(any(partitions.size()));
    } else if (dice < 940) {
      elect(any(partitions.size()));
    } else if (dice < 943) {
      bench_.frontend.begin_generation(++generation_);
    } else if (dice < 960) {
      bench_.backend.config.client_queue_bytes = any(3) == 0 ? any(queue_bytes) : queue_bytes;
    } else {
      bench_.backend.time += std::chrono::milliseconds(any(50));
    }
  }

  void update() {
    static const std::vector<std::string> prefixes{"/a/", "/a/x/", "/b/", "/c/", "/"};
    const std::string key = prefixes[any(prefixes.size())] + std::to_string(any(20));
    const std::string value =
        any(4) == 0 ? "" : std::string(1 + any(300), 'v') + std::to_string(++last_value_);
    bench_.put(key, value);
    const std::size_t partition = bench_.backend.mirrored.owner(key);
    history_[partition].push_back(
        {key, bench_.backend.mirrored.mirror(partition)->revision().value()});
    value.empty() ? static_cast<void>(state_[partition].erase(key))
                  : static_cast<void>(state_[partition][key] = value);
  }
  void renew(std::size_t partition) {
    bench_.renew(partition);
    state_[partition].clear();
    history_[partition].clear();
  }

  void elect(std::size_t partition) {
    for (const auto& update : bench_.lead(partition, ++epoch_)) {
      history_[partition].push_back({std::string(update->key), update->revision.value()});
    }
    state_[partition].clear();
  }

  void connect() { clients_.push_back({.connection = &bench_.connect(), .slow = any(2) == 0}); }
  void disconnect() {
    const auto client = std::next(clients_.begin(), static_cast<long>(any(clients_.size())));
    reported_ += client->reference.missed;
    bench_.disconnect(*client->connection);
    clients_.erase(client);
    connect();
  }
  void watch(Client& client) {
    ReferenceWatch watch{.subscription = {.subtree = subtrees[any(subtrees.size())],
                                          .latest_ms = any(5) == 0 ? 20u : 0u,
                                          .lz4 = any(3) == 0}};
    native::Watch asked{.request = ++client.last_request, .subscription = watch.subscription};
    // What an earlier watch of this client knew.
    for (const auto& [number, earlier] : client.reference.watches) {
      if (any(2) == 0 || earlier.chunk || !earlier.live ||
          earlier.subscription.subtree != watch.subscription.subtree) {
        continue;
      }
      watch.known = earlier.known;
      watch.entries = earlier.entries;
      asked.known.clear();
      for (const auto& [partition, revision] : watch.known) {
        asked.known.push_back({partition, revision});
      }
    }
    client.reference.watches.emplace(asked.request, std::move(watch));
    bench_.ask(*client.connection, asked);
  }
  void unwatch(Client& client) {
    auto& watches = client.reference.watches;
    if (watches.empty()) return;
    const auto watch = std::next(watches.begin(), static_cast<long>(any(watches.size())));
    bench_.ask(*client.connection, native::Unwatch{.request = watch->first});
    watches.erase(watch);
  }

  bool drain(Client& client, std::size_t bytes) {
    const auto frames = bench_.drain(*client.connection, bytes);
    for (const std::string& frame : frames) client.reference.on_frame(frame);
    return !frames.empty();
  }

  static const NativeClient& its(const Client& client) {
    return *static_cast<const NativeClient*>(client.connection->attachment());
  }
  void check_memory() {
    for (const Client& client : clients_) {
      EXPECT_LE(client.connection->queued_bytes() + its(client).held_bytes, queue_bytes + slack);
    }
  }

  // Every client reads; a turn comes only after an event, or when the frontend asked for it.
  void settle() {
    bench_.backend.config.client_queue_bytes = queue_bytes;
    for (int round = 0; round < 3; ++round) {
      bool more = true;
      for (int turns = 0; more; ++turns) {
        ASSERT_LT(turns, 10'000);
        more = bench_.turn() == base::Duration{0};
        for (Client& client : clients_) more |= drain(client, 4'000);
      }
      bench_.backend.time += 20ms;  // for `latest` streams
    }
  }

  void check_clients() {
    std::uint64_t reported = reported_;
    for (const Client& client : clients_) {
      reported += client.reference.missed;
      EXPECT_EQ(its(client).held_bytes, 0u);
      EXPECT_TRUE(client.connection->reading);
      for (const auto& [number, watch] : client.reference.watches) check(watch);
    }
    EXPECT_LE(reported, missed()) << "what was missed before a renewal has no number";
  }

  void check(const ReferenceWatch& watch) {
    EXPECT_TRUE(watch.live);
    const std::string& subtree = watch.subscription.subtree;
    std::uint64_t happened = 0;
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      std::map<std::string, std::string> wanted;
      for (const auto& [key, value] : state_[i]) {
        if (native::covers(subtree, key)) wanted[key] = value;
      }
      const auto entries = watch.entries.find(partitions[i]);
      EXPECT_EQ(entries == watch.entries.end() ? decltype(wanted)() : entries->second, wanted)
          << subtree;
      const auto base = watch.base.find(partitions[i]);
      if (base == watch.base.end()) continue;
      for (const Applied& one : history_[i]) {
        happened += one.revision > base->second.value() && native::covers(subtree, one.key);
      }
    }
    if (watch.subscription.latest_ms > 0) return;  // what is conflated is not missed
    EXPECT_EQ(watch.missed, happened - watch.delivered.size()) << subtree;
  }

  std::mt19937 random_;
  NativeBench bench_{partitions,
                     {.name = "p1", .client_queue_bytes = queue_bytes, .max_snapshots = 2}};
  std::uint32_t generation_ = 1;
  std::uint32_t epoch_ = 1;  // the highest of all partitions
  std::vector<Client> clients_;
  std::map<std::size_t, std::map<std::string, std::string>> state_;  // by partition
  std::map<std::size_t, std::vector<Applied>> history_;              // since its last renewal
  std::uint64_t last_value_ = 0;
  std::uint64_t reported_ = 0;  // missed updates, to clients that have gone
};

TEST(NativeProperty, EveryClientEndsExactAndKnowsWhatItMissed) {
  std::uint64_t missed = 0;
  for (unsigned seed = 1; seed <= 40 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomRun run(seed);
    run.run(3'000);
    missed += run.missed();
  }
  EXPECT_GT(missed, 10'000u) << "clients are slow enough for the test to mean something";
}

}  // namespace
}  // namespace canopy::proxy
