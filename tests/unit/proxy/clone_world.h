// A Clone frontend without sockets: its connections, its proxy, and clients as the ZeroMQ guide has
// them.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/zmtp/frame.h"
#include "proxy/clone_frontend.h"
#include "proxy/queue_limit.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {

using Message = std::vector<std::string>;

// Keeps what it is sent until somebody reads it.
class Wire final : public net::Connection {
 public:
  Wire(std::uint64_t id, Opening opening, std::size_t& queued_of_all)
      : id_(id), opening_(std::move(opening)), queued_of_all_(queued_of_all) {
    opening_.events->on_ready(*this);
  }
  ~Wire() override { end(); }

  std::uint64_t id() const override { return id_; }
  const std::string& peer() const override { return peer_; }
  base::TimePoint since() const override { return {}; }
  bool ready() const override { return true; }
  const zmtp::PeerInfo& info() const override { return info_; }
  bool closing() const override { return !closed_for.empty(); }
  void send(const net::Buffer& messages) override {
    if (closing()) return;
    buffers.push_back(messages);
    bytes_ += messages->size();
    queued_of_all_ += messages->size();
    above_ |= bytes_ >= opening_.high_water_bytes;
  }
  void send(std::span<const std::string_view> parts) override {
    std::string message;
    zmtp::append_message(message, parts);
    send(std::make_shared<const std::string>(std::move(message)));
  }
  std::size_t queued_bytes() const override { return bytes_; }
  void close(std::string_view reason) override {
    if (!closing()) closed_for = reason;
  }
  void pause_reading() override {}
  void resume_reading() override {}

  void say(const Message& parts) {
    const std::vector<std::string_view> views(parts.begin(), parts.end());
    opening_.events->on_message(*this, views);
  }
  void subscribe(std::string_view topic, bool begins = true) {
    opening_.events->on_subscription(*this, topic, begins);
  }
  // Messages, up to about so many bytes.
  std::vector<Message> read(std::size_t bytes = SIZE_MAX) {
    std::vector<Message> messages;
    std::size_t taken = 0;
    while (!buffers.empty() && taken < bytes) {
      const net::Buffer buffer = buffers.front();
      buffers.pop_front();
      split(*buffer, messages);
      taken += buffer->size();
    }
    bytes_ -= taken;
    queued_of_all_ -= taken;
    if (above_ && bytes_ <= opening_.low_water_bytes) {
      above_ = false;
      opening_.events->on_drained(*this);
    }
    return messages;
  }
  void end(std::string_view reason = "peer") {
    if (std::exchange(ended_, true)) return;
    opening_.events->on_closed(*this, reason);
    queued_of_all_ -= bytes_;
  }

  std::deque<net::Buffer> buffers;
  std::string closed_for;

 private:
  static void split(std::string_view bytes, std::vector<Message>& messages) {
    Message parts;
    while (!bytes.empty()) {
      const auto header = zmtp::read_header(bytes).value();
      parts.emplace_back(bytes.substr(header.header_bytes, header.body_bytes));
      bytes.remove_prefix(header.header_bytes + header.body_bytes);
      if (!header.more()) messages.push_back(std::exchange(parts, {}));
    }
    if (!parts.empty()) throw std::logic_error("half a message");
  }

  std::uint64_t id_;
  Opening opening_;
  std::size_t& queued_of_all_;
  std::string peer_ = "192.0.2.1:4711";
  zmtp::PeerInfo info_;
  std::size_t bytes_ = 0;
  bool above_ = false;
  bool ended_ = false;
};

class MirroredBackend final : public Backend {
 public:
  explicit MirroredBackend(std::vector<std::string> subtrees) : mirrored(std::move(subtrees)) {}

  wire::Fault write(wire::RoutedRequest request) override {
    writes.push_back(std::move(request));
    return wire::Fault::none;
  }
  MirrorLease lease(std::string_view prefix) override {
    return lent ? lent() : leases.hold(mirrored.covering(prefix));
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
  bool may_administer(const net::Connection&) override { return false; }
  std::vector<wire::native::ClientInfo> clients() const override { return {}; }
  bool kick(std::uint64_t) override { return false; }
  base::TimePoint now() const override { return time; }

  Mirrored mirrored;
  MirrorLeases leases;
  config::Proxy config;
  std::int64_t stamp = 0;
  std::size_t queued = 0;
  base::TimePoint time{std::chrono::hours(1)};
  std::function<bool(std::string_view)> readable = [](std::string_view) { return true; };
  std::function<MirrorLease()> lent;  // in place of those of `leases`
  std::vector<wire::RoutedRequest> writes;
  mutable std::size_t asked_ready = 0;
};

class CloneWorld {
 public:
  explicit CloneWorld(std::vector<std::string> subtrees = {""},
                      wire::clone::Dialect dialect = wire::clone::Dialect::kvsimple)
      : backend(std::move(subtrees)), dialect_(dialect) {
    backend.config.name = "p1";
  }

  // With the settings as they are.
  CloneFrontend& frontend() {
    if (!frontend_) {
      frontend_ = std::make_unique<CloneFrontend>(dialect_, "tcp://127.0.0.1:5556", backend.config,
                                                  metrics, backend);
    }
    return *frontend_;
  }
  std::unique_ptr<Wire> connect(Role role) {
    for (Opening& opening : frontend().openings()) {
      if (opening.role == role) {
        return std::make_unique<Wire>(++last_id_, std::move(opening), backend.queued);
      }
    }
    return nullptr;
  }
  void sync() {
    for (std::size_t i = 0; i < 16 && i < partitions(); ++i) apply(backend.mirrored.sync(i), i);
  }
  void put(const std::string& key, const std::string& value) {
    const auto update = backend.mirrored.update(key, value);
    frontend().apply({.stamp = backend.next_stamp(), .update = update},
                     backend.mirrored.owner(key));
  }
  void apply(const cluster::Mirror::Effects& effects, std::size_t partition) {
    for (const auto& update : effects.applied) {
      frontend().apply({.stamp = backend.next_stamp(), .update = update}, partition);
    }
  }
  void flush() {
    while (frontend().gathered() > 0) frontend().flush(backend.time);
  }
  // Until nothing is left to do at once.
  void settle() {
    for (int i = 0; i < 10'000; ++i) {
      flush();
      const auto wait = frontend().serve(backend.time);
      if (!wait || wait->count() > 0) return;
    }
    throw std::logic_error("never settles");
  }
  std::size_t partitions() const { return backend.mirrored.covering("").size(); }

  Metrics metrics{"p1"};
  MirroredBackend backend;

 private:
  wire::clone::Dialect dialect_;
  std::unique_ptr<CloneFrontend> frontend_;
  std::uint64_t last_id_ = 0;
};

// The client of the guide's model 4: takes a snapshot, then every update that is newer than what it
// has seen.
class GuideClient {
 public:
  static std::int64_t sequence_of(const Message& message) {
    return std::get<std::int64_t>(wire::clone::parse_sequence(message.at(1)));
  }

  // What came over its snapshot connection.
  void on_snapshot(const std::vector<Message>& messages) {
    for (const Message& message : messages) {
      if (message.front() == wire::clone::snapshot_end) {
        sequence = sequence_of(message);
        complete = true;
      } else {
        map[message.front()] = message.back();
      }
    }
  }
  // Whatever comes before the snapshot is complete waits.
  void on_updates(std::vector<Message> messages) {
    waiting_.insert(waiting_.end(), std::make_move_iterator(messages.begin()),
                    std::make_move_iterator(messages.end()));
    if (!complete) return;
    for (const Message& message : std::exchange(waiting_, {})) {
      if (sequence_of(message) <= sequence) continue;
      sequence = sequence_of(message);
      if (message.back().empty()) {
        map.erase(message.front());
      } else {
        map[message.front()] = message.back();
      }
    }
  }

  std::map<std::string, std::string> map;
  std::int64_t sequence = 0;
  bool complete = false;

 private:
  std::vector<Message> waiting_;
};

}  // namespace canopy::proxy
