// Group commits and starts of a shard's storage on the disk of the working directory, and their
// limit: the same bytes appended to a file and synced.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "core/wire/entry.h"
#include "shard/storage.h"

namespace canopy::bench {
namespace {

using cluster::Replica;
using keyspace::Revision;
using shard::Storage;

constexpr std::uint64_t keys = 1'000'000;
constexpr std::size_t value_bytes = 100;
constexpr std::size_t encoded_bytes = 160;  // of an entry, approximately

const std::string directory = "bench-store";

// One database with 1,000,000 keys, under "/".
class Filled {
 public:
  static Filled& get() {
    static Filled filled;
    return filled;
  }
  ~Filled() { std::filesystem::remove_all(directory); }

  void open() {
    storage_.reset();
    auto storage = Storage::open(directory + "/store");
    if (!storage || !(*storage)->open_copy("/")) std::abort();
    storage_ = std::move(*storage);
  }
  Replica::StoreEntries draw(std::uint64_t count, bool committed) {
    Replica::StoreEntries operation{.committed = committed};
    for (; count > 0; --count) {
      operation.entries.push_back(next(random_() % keys));
    }
    return operation;
  }
  static Storage::Operations group_of(std::vector<Replica::Operation> operations,
                                      const std::string& partition = "/") {
    Storage::Operations group{.partition = partition};
    for (auto& operation : operations) group.operations.push_back({1, std::move(operation)});
    return group;
  }
  void write(std::vector<Storage::Operations> groups) {
    if (!storage_->write(std::move(groups), true)) std::abort();
  }
  Revision last() const { return last_; }
  Storage& storage() { return *storage_; }

 private:
  Filled() {
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory);
    open();
    write(std::vector{group_of({Replica::BeginEpoch{.epoch = 1, .lineage = 1}})});
    last_ = Revision(1, 0);
    for (std::uint64_t key = 0; key < keys;) {
      Replica::StoreEntries operation{.committed = true};
      for (int i = 0; i < 10'000; ++i) operation.entries.push_back(next(key++));
      write(std::vector{group_of({std::move(operation)})});
    }
  }
  keyspace::LogEntry next(std::uint64_t key) {
    last_ = last_.next();
    std::string value(value_bytes, '\0');
    for (char& byte : value) byte = static_cast<char>(random_());
    const std::string name = "/bench/results/" + std::to_string(key);
    return {.update = wire::make_update({.key = name, .value = value, .revision = last_}),
            .request = std::make_shared<keyspace::AppliedRequest>(
                keyspace::AppliedRequest{"0123456789abcdef", last_.value(), last_.value(), last_})};
  }

  std::mt19937_64 random_{1};
  Revision last_;
  std::unique_ptr<Storage> storage_;
};

void count_entries(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

std::uint64_t count_of(const benchmark::State& state) {
  return static_cast<std::uint64_t>(state.range(0));
}

void store_limit(benchmark::State& state) {
  const std::string path = directory + ".limit";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const std::string bytes(encoded_bytes * count_of(state), 'x');
  for (auto _ : state) {
    if (::write(file, bytes.data(), bytes.size()) < 0 || ::fdatasync(file) != 0) {
      state.SkipWithError("not written");
      break;
    }
  }
  close(file);
  std::filesystem::remove(path);
  count_entries(state);
}

// The only replica of a partition.
void store_committed(benchmark::State& state) {
  Filled& filled = Filled::get();
  for (auto _ : state)
    filled.write(std::vector{Filled::group_of({filled.draw(count_of(state), true)})});
  count_entries(state);
}

// One of several replicas: each group is committed with the next one.
void store_replicated(benchmark::State& state) {
  Filled& filled = Filled::get();
  for (auto _ : state) {
    const Revision before = filled.last();
    filled.write(std::vector{
        Filled::group_of({Replica::Commit{before}, filled.draw(count_of(state), false)})});
  }
  filled.write(std::vector{Filled::group_of({Replica::Commit{filled.last()}})});
  count_entries(state);
}

// One entry in each partition. Argument: number of partitions.
void store_partitions(benchmark::State& state) {
  Filled& filled = Filled::get();
  const auto name = [](std::int64_t i) { return "/bench/" + std::to_string(i) + "/"; };
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    if (!filled.storage().open_copy(name(i))) std::abort();
  }
  for (auto _ : state) {
    std::vector<Storage::Operations> groups;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      groups.push_back(Filled::group_of({filled.draw(1, true)}, name(i)));
    }
    filled.write(std::move(groups));
  }
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    if (!filled.storage().drop_copy(name(i))) std::abort();
  }
  count_entries(state);
}

// Reads and checks everything.
void store_start(benchmark::State& state) {
  Filled& filled = Filled::get();
  for (auto _ : state) filled.open();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(keys));
}

BENCHMARK(store_limit)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK(store_committed)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK(store_replicated)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK(store_partitions)->Arg(1)->Arg(100)->UseRealTime();
BENCHMARK(store_start)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace canopy::bench
