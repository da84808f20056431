// A Clone frontend without sockets: its connections, its proxy, and clients as the ZeroMQ guide has
// them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/zmtp/frame.h"
#include "proxy/clone_frontend.h"
#include "tests/unit/proxy/fake_backend.h"
#include "tests/unit/proxy/fake_connection.h"

namespace canopy::proxy {

using Message = std::vector<std::string>;

// A connection of a Clone client.
class Wire final : public FakeConnection {
 public:
  Wire(std::uint64_t id, Opening opening, std::size_t& queued_of_all)
      : FakeConnection(id, opening.high_water_bytes, opening.low_water_bytes),
        opening_(std::move(opening)),
        queued_of_all_(queued_of_all) {
    opening_.events->on_ready(*this);
  }
  ~Wire() override { end(); }

  void send(const net::Buffer& messages) override {
    const std::size_t before = queued_bytes();
    FakeConnection::send(messages);
    queued_of_all_ += queued_bytes() - before;
  }
  void send(std::span<const std::string_view> parts) override {
    const std::size_t before = queued_bytes();
    FakeConnection::send(parts);
    queued_of_all_ += queued_bytes() - before;
  }
  void say(const Message& parts) {
    const std::vector<std::string_view> views(parts.begin(), parts.end());
    opening_.events->on_message(*this, views);
  }
  void subscribe(std::string_view topic, bool begins = true) {
    opening_.events->on_subscription(*this, topic, begins);
  }
  // Messages, up to about so many bytes.
  std::vector<Message> read(std::size_t bytes = SIZE_MAX) {
    const std::size_t before = queued_bytes();
    std::vector<Message> messages;
    for (const net::Buffer& buffer : pop_buffers(*opening_.events, bytes)) split(*buffer, messages);
    queued_of_all_ -= before - queued_bytes();
    return messages;
  }
  void end(std::string_view reason = "peer") {
    if (std::exchange(ended_, true)) return;
    opening_.events->on_closed(*this, reason);
    queued_of_all_ -= queued_bytes();
  }

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

  Opening opening_;
  std::size_t& queued_of_all_;
  bool ended_ = false;
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
    frontend().apply({.stamp = backend.next_stamp(),
                      .update = backend.mirrored.update(key, value),
                      .shard = backend.mirrored.owner(key)});
  }
  void apply(const cluster::Mirror::Effects& effects, std::size_t partition) {
    for (const auto& update : effects.applied) {
      frontend().apply({.stamp = backend.next_stamp(), .update = update, .shard = partition});
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
  FakeBackend backend;

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

  // Messages of its snapshot connection.
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
