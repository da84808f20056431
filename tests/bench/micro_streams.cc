#include <benchmark/benchmark.h>

#include <string>

#include "proxy/streams.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::bench {
namespace {

// Finding the streams of one update among as many as the argument says, and joining its batch to
// the four that match: the root, two subtrees and the key. Items are updates.
void streams_append(benchmark::State& state) {
  proxy::Mirrored mirrored{{""}};
  mirrored.sync(0);
  proxy::Streams streams(mirrored, 1);
  for (const char* subtree : {"", "/bench/", "/bench/7/", "/bench/7/key"}) {
    streams.add({.subtree = subtree});
  }
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    streams.add({.subtree = "/other/" + std::to_string(i) + "/"});
  }
  const auto update = mirrored.update("/bench/7/key", std::string(100, 'x'));
  const auto discard = [](proxy::Sending sending) {
    benchmark::DoNotOptimize(sending.frame);
    return true;
  };
  int gathered = 0;
  for (auto _ : state) {
    streams.append(update, 0);
    if (++gathered % 256 == 0) streams.flush({}, discard);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(streams_append)->Arg(1)->Arg(1000)->Arg(90'000);

}  // namespace
}  // namespace canopy::bench
