// A fake proxy around a frontend: mirrors that a test fills, and permissions that it sets.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/frontend.h"
#include "proxy/room.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {

class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(std::vector<std::string> subtrees) : mirrored(std::move(subtrees)) {}

  wire::Fault write(wire::RoutedRequest request) override {
    if (write_fault == wire::Fault::none) writes.push_back(std::move(request));
    return write_fault;
  }
  MirrorLease lease(std::string_view prefix) override {
    return lent ? lent() : leases.hold(prefix, mirrored.covering(prefix));
  }
  const Partitions& partitions() const override { return mirrored; }
  bool ready(std::string_view prefix) const override {
    ++asked_ready;
    for (const std::size_t partition : mirrored.covering(prefix)) {
      if (!mirrored.mirror(partition)->ready()) return false;
    }
    return true;
  }
  std::int64_t last_stamp() const override { return stamp; }
  std::int64_t next_stamp() override { return ++stamp; }
  std::size_t queue_limit() const override {
    return proxy::queue_limit(config.client_queue_bytes, config.egress_bytes, queued);
  }
  bool may_read(const net::Connection&, std::string_view prefix, std::string_view) override {
    return readable(prefix);
  }
  bool may_write(const net::Connection&, std::string_view key) override { return readable(key); }
  bool may_administer(const net::Connection&) override { return administers; }
  std::vector<wire::native::ClientInfo> clients() const override { return listed; }
  bool kick(std::uint64_t connection) override {
    kicked.push_back(connection);
    return connection == 7;
  }
  base::TimePoint now() const override { return time; }

  Mirrored mirrored;
  MirrorLeases leases;
  config::Proxy config;
  std::int64_t stamp = 0;
  std::size_t queued = 0;
  base::TimePoint time{std::chrono::hours(1)};
  std::function<bool(std::string_view)> readable = [](std::string_view) { return true; };
  std::function<MirrorLease()> lent;  // replaces the leases of `leases`
  wire::Fault write_fault = wire::Fault::none;
  std::vector<wire::RoutedRequest> writes;
  mutable std::size_t asked_ready = 0;
  bool administers = true;
  std::vector<wire::native::ClientInfo> listed;
  std::vector<std::uint64_t> kicked;
};

}  // namespace canopy::proxy
