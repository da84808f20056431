// A NativeFrontend whose frames are shown in short: "batch 0+1 /a/1=x".
#pragma once

#include <string>
#include <vector>

#include "tests/unit/proxy/native_bench.h"

namespace canopy::proxy {

class NativeFrontendTest : public testing::Test {
 protected:
  static constexpr std::size_t queue_bytes = 64 << 10;
  const std::string client_id = std::string(wire::native::client_id_bytes, 'c');

  NativeFrontendTest() {
    bench.backend.mirrored.sync(0);
    bench.backend.mirrored.sync(1);
    bench.frontend.begin_generation(3);
  }

  static std::string show(const wire::native::Entry& entry) {
    return (entry.deleted ? "-" : "") + std::string(entry.key) +
           (entry.deleted ? "" : "=" + std::string(entry.value));
  }
  static std::string show_all(const std::vector<wire::native::Entry>& entries) {
    std::string text;
    for (const auto& entry : entries) text += " " + show(entry);
    return text;
  }
  // Each frame as a short text.
  std::string show(const std::string& frame) {
    wire::native::FromProxy message;
    const auto status = wire::native::decode_from_proxy(frame, message);
    if (!status) return status.error();
    const auto n = [](std::uint64_t number) { return std::to_string(number); };
    if (const auto* it = std::get_if<wire::native::Welcome>(&message))
      return "welcome " + it->proxy;
    if (const auto* it = std::get_if<wire::native::Pong>(&message)) return "pong " + n(it->request);
    if (const auto* it = std::get_if<wire::native::Written>(&message)) {
      return "written " + n(it->number) + " " + n(it->revision.counter());
    }
    if (const auto* it = std::get_if<wire::native::Got>(&message)) {
      return "entry " + n(it->request) + (it->entry ? " " + show(*it->entry) : "");
    }
    if (const auto* it = std::get_if<wire::native::Gap>(&message)) {
      return "gap " + n(it->request) + " " + (it->missed ? n(*it->missed) : "?");
    }
    if (const auto* it = std::get_if<wire::native::CaughtUp>(&message)) {
      stream = it->stream;
      return "caught_up " + n(it->request) + " " + n(it->position);
    }
    if (const auto* it = std::get_if<wire::native::Chunk>(&message)) {
      return "chunk " + n(it->header.request) + " '" + it->header.partition + "'" +
             (it->header.mode == wire::native::ChunkHeader::Mode::full ? " full " : " changes ") +
             n(it->header.revision.counter()) + show_all(it->entries);
    }
    if (const auto* it = std::get_if<wire::native::Batch>(&message)) {
      return "batch " + n(it->header.after) + "+" + n(it->header.count) + show_all(it->entries);
    }
    if (const auto* it = std::get_if<wire::native::Move>(&message))
      return "move " + n(it->within_ms);
    const auto& refusal = std::get<wire::native::Refusal>(message);
    return "refusal " + n(refusal.request) + " " + std::string(wire::name(refusal.fault)) + " of " +
           n(refusal.of);
  }
  std::vector<std::string> read(FakeConnection& connection) { return read(bench, connection); }
  std::vector<std::string> read(NativeBench& its, FakeConnection& connection) {
    std::vector<std::string> result;
    for (const std::string& frame : its.drain(connection)) result.push_back(show(frame));
    return result;
  }
  FakeConnection& join(wire::native::Watch watch) {
    FakeConnection& connection = bench.connect();
    bench.ask(connection, watch);
    bench.turn_all();
    read(connection);
    return connection;
  }
  void announce_client(FakeConnection& connection) {
    bench.ask(
        connection,
        wire::native::Announce{
            .request = 1, .client = client_id, .name = "dashboard", .software = "canopy 0.1"});
  }
  static wire::WriteRequest write_of(std::uint64_t number, std::string key = "/a/1") {
    wire::WriteRequest request{.number = number};
    request.writes.push_back({.key = std::move(key), .value = "x"});
    return request;
  }

  NativeBench bench{{"/a/", ""}, {.name = "p1", .client_queue_bytes = queue_bytes}};
  std::uint64_t stream = 0;
};

}  // namespace canopy::proxy
