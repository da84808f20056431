// CatchUps with an owner that records its calls, and connections that are read after each turn.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "proxy/catch_ups.h"
#include "tests/unit/proxy/fake_connection.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {

// Ignores the events of connections: the tests call drained() themselves.
struct DrainEvents final : net::ConnectionEvents {
  void on_drained(net::Connection& connection) override { drained = connection.id(); }
  std::uint64_t drained = 0;
};

class CatchUpsTest : public testing::Test, public CatchUps::Owner {
 protected:
  using Kind = CatchUps::Kind;
  static constexpr std::size_t full = 64 << 10;
  static constexpr base::TimePoint start{std::chrono::hours(1)};

  struct SentChunk {
    wire::native::ChunkHeader header{};
    std::vector<std::string> entries{};
  };

  CatchUpsTest() {
    mirrored.sync(0);
    mirrored.sync(1);
  }

  void put(const std::string& key, const std::string& value) { mirrored.update(key, value); }
  FakeConnection& connection(std::uint64_t id) {
    auto& one = connections[id];
    if (one == nullptr) one = std::make_unique<FakeConnection>(id, full, full / 4);
    return *one;
  }
  wire::Fault open(CatchUps::Request request, std::uint64_t id = 1) {
    return catch_ups.open(connection(id), std::move(request), start);
  }
  bool serve(base::TimePoint now = start) {
    const bool more = catch_ups.serve(now);
    for (auto& [id, one] : connections) {
      if (!stuck.contains(id)) read(*one);
    }
    return more;
  }
  void serve_all() {
    while (serve()) continue;
  }
  void read(FakeConnection& one) {
    events.drained = 0;
    for (const std::string& frame : one.drain(events)) on_frame(one.id(), frame);
    if (events.drained != 0) catch_ups.drained(one);
  }
  void on_frame(std::uint64_t id, const std::string& frame) {
    wire::native::FromProxy message;
    const auto status = wire::native::decode_from_proxy(frame, message);
    ASSERT_TRUE(status) << status.error();
    if (const auto* got = std::get_if<wire::native::Got>(&message)) {
      results += got->entry ? "got " + std::string(got->entry->value) : "nothing";
      return;
    }
    const auto& chunk = std::get<wire::native::Chunk>(message);
    SentChunk one{.header = chunk.header};
    for (const auto& entry : chunk.entries) {
      one.entries.push_back(entry.deleted
                                ? "-" + std::string(entry.key)
                                : std::string(entry.key) + "=" + std::string(entry.value));
    }
    chunks_of[id] += 1;
    chunks.push_back(std::move(one));
  }

  void on_cut(net::Connection&, std::uint64_t number) override {
    results += "cut" + std::to_string(number) + " ";
  }
  void on_sent(net::Connection& its, Kind, std::uint64_t, std::vector<Known> now_has,
               base::Duration) override {
    results += "sent ";
    has = std::move(now_has);
    if (!again) return;
    again = false;
    catch_ups.reopen(its, {.kind = Kind::watch, .number = 1, .subtree = "/a/", .known = has},
                     start);
  }
  void on_unavailable(net::Connection&, Kind, std::uint64_t) override { results += "unavailable "; }
  void on_resync(bool changes) override { results += changes ? "changes " : "full "; }

  Mirrored mirrored{{"/a/", ""}};
  CatchUps catch_ups{mirrored, {.max_served = 2, .full_bytes = full}, *this};
  std::map<std::uint64_t, std::unique_ptr<FakeConnection>> connections;
  std::set<std::uint64_t> stuck;  // connections that are not read
  DrainEvents events;
  std::vector<SentChunk> chunks;
  std::map<std::uint64_t, std::size_t> chunks_of;
  std::string results;
  std::vector<Known> has;
  bool again = false;
};

}  // namespace canopy::proxy
