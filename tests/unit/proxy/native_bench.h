// A NativeFrontend with the proxy around it faked: mirrors that a test fills, connections without
// sockets, writes that are kept.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/native_frontend.h"
#include "tests/unit/proxy/fake_backend.h"
#include "tests/unit/proxy/fake_connection.h"

namespace canopy::proxy {

class NativeBench {
 public:
  NativeBench(std::vector<std::string> subtrees, const config::Proxy& proxy)
      : backend(std::move(subtrees)),
        metrics("p1"),
        frontend(proxy, metrics, backend),
        opening(frontend.openings().at(0)) {
    backend.config = proxy;
    backend.readable = [](std::string_view key) { return !key.starts_with("/secret/"); };
  }

  FakeConnection& connect() {
    const std::uint64_t id = ++last_id_;
    auto connection =
        std::make_unique<FakeConnection>(id, opening.high_water_bytes, opening.low_water_bytes);
    FakeConnection& result = *connection;
    connections.emplace(id, std::move(connection));
    opening.events->on_ready(result);
    return result;
  }
  void disconnect(FakeConnection& connection) {
    opening.events->on_closed(connection, "peer");
    connections.erase(connection.id());
  }
  template <typename Request>
  void ask(FakeConnection& connection, const Request& request) {
    const std::string frame = wire::native::encode(request);
    say(connection, frame);
  }
  void say(FakeConnection& connection, std::string_view frame) {
    opening.events->on_message(connection, std::array<std::string_view, 1>{frame});
  }

  void put(const std::string& key, const std::string& value) {
    frontend.apply({.stamp = backend.next_stamp(),
                    .update = backend.mirrored.update(key, value),
                    .shard = backend.mirrored.owner(key)});
  }
  // A new leader with an empty log. If its epoch was used before, clients must forget their
  // revisions.
  std::vector<keyspace::UpdatePtr> lead(std::size_t partition, std::uint32_t epoch) {
    const auto effects = backend.mirrored.sync(partition, epoch);
    for (const auto& update : effects.applied) {
      frontend.apply({.stamp = backend.next_stamp(), .update = update, .shard = partition});
    }
    if (effects.new_history) frontend.renew(partition);
    return effects.applied;
  }
  void renew(std::size_t partition) {
    lead(partition, backend.mirrored.mirror(partition)->revision().epoch());
    EXPECT_TRUE(backend.mirrored.mirror(partition)->epoch_reused());
  }
  // The end of a turn of the loop.
  std::optional<base::Duration> turn(bool flush = true) {
    while (flush && frontend.flush(backend.time)) continue;
    return frontend.serve(backend.time);
  }
  void turn_all() {
    while (turn() == base::Duration{0}) continue;
  }
  std::vector<std::string> drain(FakeConnection& connection, std::size_t bytes = SIZE_MAX) {
    return connection.drain(*opening.events, bytes);
  }

  FakeBackend backend;
  Metrics metrics;
  NativeFrontend frontend;
  Opening opening;
  std::map<std::uint64_t, std::unique_ptr<FakeConnection>> connections;

 private:
  std::uint64_t last_id_ = 0;
};

}  // namespace canopy::proxy
