// Proxies that sync with a shard whose commits take long: the turns of a shard's node, on a manual
// clock.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "core/base/limits.h"
#include "core/cluster/mirror.h"
#include "shard/sync_sessions.h"
#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using namespace std::chrono_literals;

class SlowShard {
 public:
  SlowShard(std::size_t proxies, std::size_t entries, base::Duration commit) : commit_(commit) {
    for (std::size_t i = 0; i < entries; ++i) write("/p/" + std::to_string(i));
    led_.commit(now_);
    for (std::size_t i = 0; i < proxies; ++i) {
      proxies_.push_back(std::make_unique<Proxy>());
      cluster::Mirror::Effects effects;
      proxies_.back()->mirror.start(now_, effects);
      send(*proxies_.back(), effects);
    }
  }

  // Reads what has come, sends chunks, and commits a write: as the node does. What proxies answer
  // to the chunks comes while the shard commits, and is read in the next turn.
  void turn() {
    const base::TimePoint end = now_ + commit_;
    read();
    write("/p/hot");
    for (std::size_t left = SyncSessions::chunks_per_turn(commit_); left > 0; --left) {
      const auto step = sessions_.next([this](const std::string&) { return &led_.replica(); },
                                       [](ProxyId) { return true; }, now_);
      if (!step) break;
      Proxy& proxy = *proxies_[step->proxy];
      cluster::Mirror::Effects effects;
      proxy.mirror.on_chunk(step->chunk, now_, effects);
      send(proxy, effects);
    }
    for (; now_ < end; now_ += 50ms) {
      for (auto& proxy : proxies_) {
        cluster::Mirror::Effects effects;
        proxy->mirror.tick(now_, effects);
        send(*proxy, effects);
      }
    }
    for (const wire::Batch& batch : led_.commit(now_).batches) {
      for (auto& proxy : proxies_) {
        cluster::Mirror::Effects effects;
        proxy->mirror.on_batch(batch, now_, effects);
        send(*proxy, effects);
      }
    }
  }

  std::size_t live() const {
    std::size_t count = 0;
    for (const auto& proxy : proxies_) {
      if (proxy->mirror.state() != cluster::Mirror::State::live) continue;
      EXPECT_EQ(proxy->mirror.revision(), led_.revision());
      EXPECT_EQ(proxy->mirror.tree().size(), led_.tree().size());
      ++count;
    }
    return count;
  }

 private:
  struct Proxy {
    cluster::Mirror mirror{"/p/"};
    std::deque<std::string> sent{};
  };

  void write(const std::string& key) {
    led_.partition().stage(0, {.request = {.writes = {{.key = key, .value = value_}}}}, now_);
  }
  static void send(Proxy& proxy, cluster::Mirror::Effects& effects) {
    for (std::string& request : effects.requests) proxy.sent.push_back(std::move(request));
  }
  void read() {
    for (std::size_t i = 0; i < proxies_.size(); ++i) {
      for (const std::string& request : proxies_[i]->sent) {
        const auto message = wire::decode_to_shard(request);
        if (const auto* sync = std::get_if<wire::Sync>(&*message)) {
          sessions_.open(i, *sync, led_.replica(), now_);
        } else {
          sessions_.credit(i, std::get<wire::Credit>(*message));
        }
      }
      proxies_[i]->sent.clear();
    }
  }

  const base::Duration commit_;
  const std::string value_ = std::string(base::max_chunk_bytes / 4, 'v');
  base::TimePoint now_{1h};
  Led led_{};
  SyncSessions sessions_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

TEST(SlowTurns, AFreshProxyIsCompleteAlthoughEachCommitTakes600Ms) {
  SlowShard shard(1, 400, 600ms);  // 100 chunks
  for (int i = 0; i < 10; ++i) shard.turn();
  EXPECT_EQ(shard.live(), 1u);
}

TEST(SlowTurns, SoAreTwelveWithCommitsOf450Ms) {
  SlowShard shard(12, 400, 450ms);
  for (int i = 0; i < 40; ++i) shard.turn();
  EXPECT_EQ(shard.live(), 12u);
}

// Each chunk of a copy may take longer than the time after which its proxy asks again.
TEST(SlowTurns, SoIsAProxyOfAShardThatHardlyMoves) {
  SlowShard shard(1, 200, 20s);
  for (int i = 0; i < 10; ++i) shard.turn();
  EXPECT_EQ(shard.live(), 1u);
}

}  // namespace
}  // namespace canopy::shard
