#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "core/wire/link.h"
#include "core/wire/native.h"
#include "tests/bench/micro_updates.h"

namespace canopy::bench {
namespace {

namespace native = wire::native;

// Argument of each: number of updates in the batch. Items are updates.
void count_updates(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

wire::Batch link_batch(std::int64_t count) {
  wire::Batch batch;
  batch.after = keyspace::Revision(1, 0);
  batch.updates = updates_of(count);
  return batch;
}

void link_encode_batch(benchmark::State& state) {
  const wire::Batch batch = link_batch(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(batch));
  count_updates(state);
}

void link_decode_batch(benchmark::State& state) {
  const std::string frame = wire::encode(link_batch(state.range(0)));
  for (auto _ : state) {
    auto batch = wire::decode_batch(frame);
    if (!batch) state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(batch);
  }
  count_updates(state);
}

std::string entries_of(std::int64_t count, bool random_bodies) {
  std::string entries;
  for (const auto& update : updates_of(count, random_bodies))
    native::append_entry(entries, *update);
  return entries;
}

native::BatchHeader header_of(std::int64_t count) {
  native::BatchHeader header;
  header.stream = 0x123456789abc;
  header.after = 1'000'000;
  header.count = static_cast<std::uint32_t>(count);
  header.revisions.push_back({"", keyspace::Revision(1, 1'000'000)});
  return header;
}

void native_append_entry(benchmark::State& state) {
  const auto updates = updates_of(state.range(0));
  std::string entries;
  for (auto _ : state) {
    entries.clear();
    for (const auto& update : updates) native::append_entry(entries, *update);
    benchmark::DoNotOptimize(entries.data());
  }
  count_updates(state);
}

void native_encode_batch(benchmark::State& state) {
  const std::string entries = entries_of(state.range(0), true);
  const native::BatchHeader header = header_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(native::encode_batch(header, entries));
  count_updates(state);
}

void decode(benchmark::State& state, const std::string& frame) {
  native::FromProxy message;
  for (auto _ : state) {
    if (!native::decode_from_proxy(frame, message)) state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(message);
  }
  count_updates(state);
}

void native_decode_batch(benchmark::State& state) {
  decode(state, native::encode_batch(header_of(state.range(0)), entries_of(state.range(0), true)));
}

void native_decode_batch_lz4(benchmark::State& state) {
  const std::string entries = entries_of(state.range(0), false);
  decode(state, native::encode_batch(header_of(state.range(0)), native::compress(entries),
                                     entries.size()));
}

void compress(benchmark::State& state, bool random_bodies) {
  const std::string entries = entries_of(state.range(0), random_bodies);
  std::size_t packed = 0;
  for (auto _ : state) {
    const std::string block = native::compress(entries);
    packed = block.size();
    benchmark::DoNotOptimize(block.data());
  }
  count_updates(state);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(entries.size()));
  state.counters["packed_share"] =
      static_cast<double>(packed) / static_cast<double>(entries.size());
}

void native_compress_random(benchmark::State& state) { compress(state, true); }
void native_compress_alike(benchmark::State& state) { compress(state, false); }

BENCHMARK(link_encode_batch)->Arg(1)->Arg(10)->Arg(1000);
BENCHMARK(link_decode_batch)->Arg(1)->Arg(10)->Arg(1000);
BENCHMARK(native_append_entry)->Arg(1)->Arg(1000);
BENCHMARK(native_encode_batch)->Arg(1)->Arg(10)->Arg(1000);
BENCHMARK(native_decode_batch)->Arg(1)->Arg(10)->Arg(1000);
BENCHMARK(native_decode_batch_lz4)->Arg(10)->Arg(1000);
BENCHMARK(native_compress_random)->Arg(10)->Arg(1000);
BENCHMARK(native_compress_alike)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace canopy::bench
