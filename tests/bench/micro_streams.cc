#include <benchmark/benchmark.h>

#include <deque>
#include <string>
#include <utility>

#include "proxy/streams.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::bench {
namespace {

struct Discard final : proxy::Streams::Watcher {
  void on_batch(const proxy::Streams::Batch& batch) override {
    benchmark::DoNotOptimize(batch.message.get());
  }
  void on_restart(std::optional<std::size_t>) override {}
};

// Finds the streams of one update and adds it to the four that match: the root, two subtrees and
// the key. Argument: number of streams. Items are updates.
void streams_append(benchmark::State& state) {
  proxy::Mirrored mirrored{{""}};
  mirrored.sync(0);
  proxy::Streams streams(mirrored, [](std::string_view) { return proxy::MirrorLease(); });
  std::deque<Discard> watchers;
  const auto watch = [&](std::string subtree) {
    streams.subscribe({.subtree = std::move(subtree)}, watchers.emplace_back());
  };
  for (const char* subtree : {"", "/bench/", "/bench/7/", "/bench/7/key"}) watch(subtree);
  for (std::int64_t i = 0; i < state.range(0); ++i) watch("/other/" + std::to_string(i) + "/");
  const auto update = mirrored.update("/bench/7/key", std::string(100, 'x'));
  int gathered = 0;
  for (auto _ : state) {
    streams.append(update, 0);
    if (++gathered % 256 == 0) streams.flush({});
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(streams_append)->Arg(1)->Arg(1000)->Arg(90'000);

}  // namespace
}  // namespace canopy::bench
