// A program that uses the installed library, and only that. Says what fails, and exits with 1.
//
//   consumer calls BROKER      everything that a client can do, once
//   consumer calls BROKER OWN_KEY SERVER_KEY       the same, with keys
//   consumer alone             what it does without a cluster
//   consumer endure BROKER     writes and watches until a line comes on stdin; then all must be
//   exact
#include <canopy/canopy.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <iostream>
#include <mutex>
#include <thread>

namespace {

using namespace std::chrono_literals;

[[noreturn]] void fail(int line, const char* what) {
  std::cerr << "consumer.cc:" << line << ": " << what << std::endl;
  std::_Exit(1);
}
#define CHECK(condition) \
  if (!(condition)) fail(__LINE__, #condition)

template <typename Call>
canopy::Error error_of(Call call, int line) {
  try {
    call();
  } catch (const canopy::Error& error) {
    return error;
  }
  fail(line, "nothing was thrown");
}
#define ERROR_OF(call) error_of([&] { (void)(call); }, __LINE__)

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

void writes_and_reads(canopy::Client& client) {
  const auto first = client.put("/consumer/a", "1");
  const auto second =
      client.put("/consumer/a", std::string_view("2\0x", 3), {.if_revision = first});
  CHECK(second > first);
  CHECK(eventually([&] { return client.get("/consumer/a")->revision == second; }));
  CHECK(client.get("/consumer/a")->value == std::string("2\0x", 3));
  CHECK(!client.get("/consumer/none"));

  const auto stale = ERROR_OF(client.put("/consumer/a", "3", {.if_revision = first}));
  CHECK(stale.number() == canopy::Error::revision_mismatch && stale.revision() == second);
  CHECK(stale.name() == std::string("revision_mismatch") && !stale.retriable());
  CHECK(ERROR_OF(client.put("/consumer/a", "3", {.if_revision = 0})).revision() == second);
  CHECK(ERROR_OF(client.put("bad\nkey", "")).number() == canopy::Error::bad_key);
  CHECK(ERROR_OF(client.get("")).number() == canopy::Error::bad_key);
  CHECK(ERROR_OF(client.list("bad\n")).number() == canopy::Error::bad_subtree);
  CHECK(ERROR_OF(client.put("/consumer/a", std::string((1 << 20) + 1, 'x'))).number() ==
        canopy::Error::too_large);

  canopy::Batch batch;
  batch.put("/consumer/b", "b")
      .put("/consumer/c", "c", {.properties = "x=y\n"})
      .erase("/consumer/a");
  CHECK(batch.size() == 3);
  CHECK(client.apply(batch) == second + 3);
  CHECK(eventually([&] { return client.list("/consumer/").size() == 2; }));
  const auto entries = client.list("/consumer/");
  CHECK(entries[0].key == "/consumer/b" && entries[1].key == "/consumer/c");
  CHECK(entries[1].properties == "x=y\n");
  const auto keys = client.list("/consumer/", {.limit = 1, .keys_only = true});
  CHECK(keys.size() == 1 && keys[0].key == "/consumer/b" && keys[0].value.empty());
  const auto rest = client.list("/consumer/", {.start_after = keys[0].key});
  CHECK(rest.size() == 1 && rest[0].key == "/consumer/c" && rest[0].value == "c");
  CHECK(client.erase("/consumer/b") == second + 4);
  client.put("/consumer/brief", "v", {.ttl = 300ms});
  CHECK(eventually([&] { return !client.get("/consumer/brief"); }));
}

void calls_without_waiting(canopy::Client& client) {
  std::promise<std::uint64_t> written;
  client.put("/consumer/d", "d", {}, [&](const canopy::Error* error, std::uint64_t revision) {
    CHECK(error == nullptr);
    client.put("/consumer/of-callback", "waits");
    written.set_value(revision);
  });
  const auto revision = written.get_future().get();
  std::promise<unsigned> refused;
  client.put(
      "/consumer/d", "e", {.if_revision = revision + 1},
      [&](const canopy::Error* error, std::uint64_t) { refused.set_value(error->number()); });
  CHECK(refused.get_future().get() == canopy::Error::revision_mismatch);
  std::promise<std::size_t> listed;
  client.list("/consumer/", [&](const canopy::Error* error, std::vector<canopy::Entry> entries) {
    CHECK(error == nullptr);
    listed.set_value(entries.size());
  });
  CHECK(listed.get_future().get() > 0);
  std::promise<bool> erased;
  client.erase("/consumer/d", {}, [&](const canopy::Error* error, std::uint64_t) {
    erased.set_value(error == nullptr);
  });
  CHECK(erased.get_future().get());

  std::atomic<int> answered = 0;
  for (int i = 0; i < 100; ++i) {
    client.put("/consumer/flushed", std::to_string(i), {},
               [&](const canopy::Error* error, std::uint64_t) { answered += error ? 0 : 1; });
  }
  client.flush();
  CHECK(client.stats().open_calls == 0);
  CHECK(eventually([&] { return answered == 100; }));
  client.erase("/consumer/flushed");
  client.erase("/consumer/of-callback");
}

// A watch whose callback blocks holds up nothing else, and catches up within its bound.
void slow_watches(canopy::Client& client) {
  std::promise<void> goes_on;
  auto may_go_on = goes_on.get_future().share();
  std::atomic<std::uint64_t> seen = 0, merged = 0;
  std::atomic<int> last = -1;
  auto slow = client.watch(
      "/slow/",
      {.on_change =
           [&, may_go_on](const canopy::Change& change) {
             may_go_on.wait();
             ++seen;
             last = std::stoi(std::string(change.value));
           },
       .on_gap = [&](std::optional<std::uint64_t> updates) { merged += updates.value_or(0); }},
      {.max_queue_bytes = 1});
  canopy::Map quick(client, "/slow/");
  CHECK(quick.wait_synced());
  for (int i = 0; i < 200; ++i) client.put("/slow/key", std::to_string(i));
  CHECK(eventually([&] { return quick.find("/slow/key")->value == "199"; }));
  CHECK(seen == 0);
  const canopy::Stats stats = client.stats();
  CHECK(stats.merged_changes > 150 && stats.changes >= 400 && stats.queued_bytes < 1000);
  CHECK(!stats.proxy.empty() && stats.proxy_endpoint.starts_with("tcp://"));
  goes_on.set_value();
  CHECK(eventually([&] { return last == 199; }));
  CHECK(seen + merged == 200);
  slow.reset();
  client.erase("/slow/key");
}

void watches(canopy::Client& client) {
  client.put("/watched/before", "1");
  canopy::Map map(client, "/watched/");
  CHECK(map.wait_synced() && map.synced());
  CHECK(eventually([&] { return map.contains("/watched/before"); }));
  client.put("/watched/after", "2");
  CHECK(eventually([&] { return map.size() == 2; }));
  CHECK(map.find("/watched/after")->value == "2" && !map.find("/watched/none"));
  std::size_t visited = 0;
  map.for_each([&](const canopy::Entry&) { ++visited; });
  CHECK(visited == 2 && map.snapshot().size() == 2);
  client.erase("/watched/before");
  CHECK(eventually([&] { return !map.contains("/watched/before"); }));

  // A watch may end itself, and calls nothing afterwards.
  std::atomic<int> calls = 0;
  canopy::Subscription once;
  std::promise<void> ready;
  auto may_end = ready.get_future().share();
  once = client.watch("/watched/", [&, may_end](const canopy::Change&) {
    may_end.wait();
    ++calls;
    once.reset();
  });
  ready.set_value();
  CHECK(eventually([&] { return calls == 1; }));
  client.put("/watched/after", "3");
  CHECK(eventually([&] { return map.find("/watched/after")->value == "3"; }));
  CHECK(calls == 1);

  // Only the latest values.
  canopy::Map latest(client, "/watched/", {.latest = 50ms, .compress = true});
  CHECK(latest.wait_synced());
  for (int i = 0; i < 100; ++i) client.put("/watched/after", std::to_string(i));
  CHECK(eventually([&] { return latest.find("/watched/after")->value == "99"; }));

  std::promise<unsigned> refused;
  auto bad = client.watch("bad\n", canopy::Watcher{.on_error = [&](const canopy::Error& error) {
                            refused.set_value(error.number());
                          }});
  CHECK(refused.get_future().get() == canopy::Error::bad_subtree);
  canopy::Map never(client, "/watched/", {.latest = -1ms});
  ERROR_OF(never.wait_synced());
}

int calls(canopy::Options options) {
  std::atomic<bool> connected = false;
  options.log = [&](canopy::LogLevel, std::string_view text) {
    if (text == "client: connected") connected = true;
  };
  canopy::Client client(options);
  writes_and_reads(client);
  calls_without_waiting(client);
  watches(client);
  slow_watches(client);
  CHECK(connected);
  return 0;
}

void refuses_what_is_no_key() {
  const std::string key(40, 'k');
  for (const canopy::Options& options :
       {canopy::Options{.server_key = key}, canopy::Options{.public_key = key, .secret_key = key},
        canopy::Options{.server_key = key, .public_key = key, .secret_key = key + "k"},
        canopy::Options{.server_key = key, .public_key = "~" + key.substr(1), .secret_key = key}}) {
    try {
      canopy::Client client(options);
      fail(__LINE__, "no keys");
    } catch (const std::invalid_argument&) {
    }
  }
  try {
    canopy::Options().use_keys("/nowhere/a.key_secret", key);
    fail(__LINE__, "no file");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).find("/nowhere/a.key_secret") != std::string::npos);
  }
}

int alone() {
  CHECK(canopy::version() == std::to_string(CANOPY_VERSION_MAJOR) + "." +
                                 std::to_string(CANOPY_VERSION_MINOR) + "." +
                                 std::to_string(CANOPY_VERSION_PATCH));
  refuses_what_is_no_key();
  try {
    canopy::Client client({.brokers = {"nowhere"}});
    fail(__LINE__, "no endpoint");
  } catch (const std::invalid_argument&) {
  }
  // No broker listens there.
  canopy::Client client({.brokers = {"tcp://127.0.0.1:1"}, .timeout = 300ms});
  const auto late = ERROR_OF(client.put("/a", "x"));
  CHECK(late.number() == canopy::Error::timeout && late.name() == std::string("timeout"));
  CHECK(ERROR_OF(client.get("/a")).number() == canopy::Error::timeout);
  CHECK(ERROR_OF(client.get("/a", {.timeout = 10ms})).number() == canopy::Error::timeout);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const canopy::CallOptions stoppable{.timeout = 60s, .stop = stop.get_token()};
  const auto cancelled = ERROR_OF(client.put("/a", "x", {.call = stoppable}));
  CHECK(cancelled.number() == canopy::Error::cancelled && !cancelled.retriable());
  CHECK(cancelled.name() == std::string("cancelled"));
  CHECK(ERROR_OF(client.get("/a", stoppable)).number() == canopy::Error::cancelled);
  client.flush();
  CHECK(client.stats().open_calls == 0 && client.stats().proxy.empty());
  canopy::Map map(client, "/");
  CHECK(!map.wait_synced(100ms) && map.size() == 0);

  unsigned number = 0;
  canopy::Subscription outlives;
  {
    canopy::Client brief({.proxies = {"tcp://127.0.0.1:1"}});
    outlives = brief.watch("", [](const canopy::Change&) {});
    brief.put("/a", "x", {},
              [&](const canopy::Error* error, std::uint64_t) { number = error->number(); });
  }
  CHECK(number == canopy::Error::closed);
  return 0;
}

// Everything written is acknowledged, each change is reported once and in order, and the map ends
// equal.
int endure(const std::string& broker) {
  constexpr int keys = 50;
  constexpr int in_flight = 200;
  canopy::Client writer({.brokers = {broker}, .timeout = 60s});
  canopy::Client watcher({.brokers = {broker}});
  std::mutex mutex;
  std::condition_variable room;
  int open = 0;
  std::map<std::string, int> written;
  std::map<std::string, int> seen;
  std::atomic<int> resyncs = 0, full = 0, losses = 0;
  canopy::Map map(watcher, "/endure/", {},
                  {.on_change =
                       [&](const canopy::Change& change) {
                         int& last = seen[std::string(change.key)];
                         const int value = std::stoi(std::string(change.value));
                         CHECK(!change.deleted && value > last);
                         last = value;
                       },
                   .on_synced =
                       [&](canopy::Sync sync) {
                         if (sync != canopy::Sync::snapshot) ++resyncs;
                         if (sync == canopy::Sync::full) ++full;
                       },
                   .on_contact = [&](bool present) { losses += present ? 0 : 1; }});
  CHECK(map.wait_synced(30s));
  std::cout << "ready" << std::endl;
  std::atomic<bool> done = false;
  std::thread input([&] {
    std::string line;
    std::getline(std::cin, line);
    done = true;
  });
  int count = 0;
  for (; !done; ++count) {
    const std::string key = "/endure/" + std::to_string(count % keys);
    {
      std::unique_lock lock(mutex);
      room.wait(lock, [&] { return open < in_flight; });
      ++open;
      written[key] = count + 1;
    }
    writer.put(key, std::to_string(count + 1), {}, [&](const canopy::Error* error, std::uint64_t) {
      if (error != nullptr) fail(__LINE__, error->what());
      const std::lock_guard lock(mutex);
      --open;
      room.notify_one();
    });
    std::this_thread::sleep_for(500us);
  }
  input.join();
  {
    std::unique_lock lock(mutex);
    CHECK(room.wait_for(lock, 60s, [&] { return open == 0; }));
  }
  CHECK(eventually([&] {
    const auto snapshot = map.snapshot();
    return std::all_of(written.begin(), written.end(), [&](const auto& each) {
      const auto found = snapshot.find(each.first);
      return found != snapshot.end() && found->second.value == std::to_string(each.second);
    });
  }));
  std::cout << "{\"written\": " << count << ", \"losses\": " << losses
            << ", \"resyncs\": " << resyncs << ", \"full\": " << full << "}" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 1 && arguments[0] == "alone") return alone();
    if (arguments.size() == 2 && arguments[0] == "calls") return calls({.brokers = {arguments[1]}});
    if (arguments.size() == 4 && arguments[0] == "calls") {
      return calls(canopy::Options{.brokers = {arguments[1]}}.use_keys(arguments[2], arguments[3]));
    }
    if (arguments.size() == 2 && arguments[0] == "endure") return endure(arguments[1]);
  } catch (const std::exception& error) {
    fail(0, error.what());
  }
  return 2;
}
