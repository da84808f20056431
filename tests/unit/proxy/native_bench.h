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
#include "tests/unit/proxy/fake_connection.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {

class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(std::vector<std::string> subtrees) : mirrored(std::move(subtrees)) {}

  wire::Fault write(wire::RoutedRequest request) override {
    if (write_fault == wire::Fault::none) written.push_back(std::move(request));
    return write_fault;
  }
  MirrorLease lease(std::string_view prefix) override {
    return leases.hold(mirrored.covering(prefix));
  }
  const Partitions& partitions() const override { return mirrored; }
  bool ready(std::string_view) const override { return true; }
  std::int64_t last_stamp() const override { return 0; }
  std::int64_t next_stamp() override { return 0; }
  std::size_t queue_limit() const override { return limit; }
  bool may_read(const net::Connection&, std::string_view prefix, std::string_view) override {
    return !prefix.starts_with(forbidden);
  }
  bool may_write(const net::Connection&, std::string_view key) override {
    return !key.starts_with(forbidden);
  }
  bool may_administer(const net::Connection&) override { return administers; }
  std::vector<wire::native::ClientInfo> clients() const override { return listed; }
  bool kick(std::uint64_t connection) override {
    kicked.push_back(connection);
    return connection == 7;
  }
  base::TimePoint now() const override { return time; }

  Mirrored mirrored;
  MirrorLeases leases;
  std::size_t limit = std::size_t{8} << 20;
  std::string forbidden = "/secret/";
  wire::Fault write_fault = wire::Fault::none;
  std::vector<wire::RoutedRequest> written;
  bool administers = true;
  std::vector<wire::native::ClientInfo> listed;
  std::vector<std::uint64_t> kicked;
  base::TimePoint time{std::chrono::hours(1)};
};

class NativeBench {
 public:
  NativeBench(std::vector<std::string> subtrees, const config::Proxy& proxy)
      : backend(std::move(subtrees)),
        metrics("p1"),
        frontend(proxy, metrics, backend),
        opening(frontend.openings().at(0)) {
    backend.limit = proxy.client_queue_bytes;
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
    frontend.apply({.stamp = ++stamp_, .update = backend.mirrored.update(key, value)},
                   backend.mirrored.owner(key));
  }
  // A new leader, which knows nothing. What it changes; of an epoch that was used before, clients
  // must forget what they know.
  std::vector<keyspace::UpdatePtr> lead(std::size_t partition, std::uint32_t epoch) {
    const auto effects = backend.mirrored.sync(partition, epoch);
    for (const auto& update : effects.applied) {
      frontend.apply({.stamp = ++stamp_, .update = update}, partition);
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
  std::int64_t stamp_ = 0;
};

}  // namespace canopy::proxy
