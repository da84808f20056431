#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "core/keyspace/replica_log.h"
#include "core/keyspace/tree.h"
#include "tests/bench/micro_updates.h"

namespace canopy::bench {
namespace {

keyspace::Tree tree_of(const std::vector<keyspace::UpdatePtr>& updates) {
  keyspace::Tree tree;
  for (const auto& update : updates) tree.put(update);
  return tree;
}

// Argument: number of keys in the tree, visited in random order.
void tree_put(benchmark::State& state) {
  const auto updates = shuffled_updates(state.range(0));
  keyspace::Tree tree = tree_of(updates);
  for (std::size_t i = 0; auto _ : state) tree.put(updates[i++ % updates.size()]);
  state.SetItemsProcessed(state.iterations());
}

// The most expensive put: a view of the tree was taken just before.
void tree_put_while_viewed(benchmark::State& state) {
  const auto updates = shuffled_updates(state.range(0));
  keyspace::Tree tree = tree_of(updates);
  for (std::size_t i = 0; auto _ : state) {
    const keyspace::TreeView view = tree.view();
    tree.put(updates[i++ % updates.size()]);
  }
  state.SetItemsProcessed(state.iterations());
}

void tree_find(benchmark::State& state) {
  const auto updates = shuffled_updates(state.range(0));
  const keyspace::Tree tree = tree_of(updates);
  for (std::size_t i = 0; auto _ : state) {
    benchmark::DoNotOptimize(tree.find(updates[i++ % updates.size()]->key));
  }
  state.SetItemsProcessed(state.iterations());
}

void tree_seek(benchmark::State& state) {
  const auto updates = shuffled_updates(state.range(0));
  const keyspace::Tree tree = tree_of(updates);
  const keyspace::TreeView view = tree.view();
  for (std::size_t i = 0; auto _ : state) {
    auto cursor = view.seek(updates[i++ % updates.size()]->key);
    benchmark::DoNotOptimize(*cursor);
  }
  state.SetItemsProcessed(state.iterations());
}

// Iterates all entries, as a snapshot does.
void tree_walk(benchmark::State& state) {
  const keyspace::Tree tree = tree_of(shuffled_updates(state.range(0)));
  for (auto _ : state) {
    for (auto cursor = tree.view().seek(""); !cursor.done(); cursor.next()) {
      benchmark::DoNotOptimize(*cursor);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// Argument: number of updates in the log.
void replica_log_append(benchmark::State& state) {
  const auto updates = shuffled_updates(1000);
  keyspace::ReplicaLog log(
      {.updates = static_cast<std::size_t>(state.range(0)), .bytes = std::size_t{1} << 30});
  log.begin_epoch(1, 1);
  keyspace::Revision revision(1, 0);
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<keyspace::UpdatePtr> batch;
    for (const auto& update : updates) {
      keyspace::Entry next = *update;
      next.revision = revision = revision.next();
      batch.push_back(wire::make_update(next));
    }
    state.ResumeTiming();
    for (auto& update : batch) log.append({.update = std::move(update)});
    log.trim(revision);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(updates.size()));
}

BENCHMARK(tree_put)->Arg(1'000)->Arg(100'000);
BENCHMARK(tree_put_while_viewed)->Arg(1'000)->Arg(100'000);
BENCHMARK(tree_find)->Arg(1'000)->Arg(100'000);
BENCHMARK(tree_seek)->Arg(1'000)->Arg(100'000);
BENCHMARK(tree_walk)->Arg(100'000);
BENCHMARK(replica_log_append)->Arg(100'000);

}  // namespace
}  // namespace canopy::bench
