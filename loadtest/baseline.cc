#include "loadtest/baseline.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

#include "core/base/clock.h"
#include "core/net/loop.h"
#include "core/wire/clone.h"
#include "loadtest/channel.h"
#include "loadtest/measure/clock.h"
#include "loadtest/measure/descriptor_limit.h"
#include "loadtest/zmq_socket.h"

namespace canopy::loadtest {
namespace {

namespace clone = wire::clone;

class Server {
 public:
  Server()
      : snapshot_(zmq_, zmq::socket_type::router, {}),
        updates_(zmq_, zmq::socket_type::pub, {}),
        collector_(zmq_, zmq::socket_type::pull, {}) {}

  base::Result<wire::Triple> bind() {
    wire::Triple triple;
    for (const auto& [socket, endpoint] :
         {std::pair(&snapshot_, &triple.snapshot), std::pair(&updates_, &triple.updates),
          std::pair(&collector_, &triple.collector)}) {
      auto bound = socket->bind();
      if (!bound) return base::Error{bound.error()};
      *endpoint = std::move(*bound);
    }
    return triple;
  }

  void run() {
    sockets_.on_readable(collector_, [this] { on_update(); });
    sockets_.on_readable(snapshot_, [this] { on_snapshot_request(); });
    loop_.run();
  }

 private:
  // Reads one message a turn, as the guide's servers do.
  void on_update() {
    if (!collector_.receive(message_) || message_.size() != 3) return;
    const std::string_view key = message_[0], body = message_[2];
    updates_.send(clone::Frames(clone::Dialect::kvsimple, key, ++sequence_, {}, {}, body).span());
    if (body.empty()) {
      map_.erase(std::string(key));
    } else {
      map_[std::string(key)] = {sequence_, std::string(body)};
    }
  }

  void on_snapshot_request() {
    if (!snapshot_.receive(message_) || message_.size() != 3) return;
    const std::string client(message_[0]), subtree(message_[2]);
    for (const auto& [key, entry] : map_) {
      if (!key.starts_with(subtree)) continue;
      reply(client,
            clone::Frames(clone::Dialect::kvsimple, key, entry.sequence, {}, {}, entry.body));
    }
    reply(client, clone::end_of_snapshot(clone::Dialect::kvsimple, subtree, sequence_));
  }

  void reply(const std::string& client, const clone::Frames& frames) {
    const auto parts = frames.span();
    snapshot_.send({client, parts[0], parts[1], parts[2]});
  }

  struct Entry {
    std::int64_t sequence = 0;
    std::string body{};
  };

  zmq::context_t zmq_;
  ZmqSocket snapshot_, updates_, collector_;
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  ZmqWatcher sockets_{loop_};
  ZmqMessage message_;
  std::unordered_map<std::string, Entry> map_;
  std::int64_t sequence_ = 0;
};

int serve(int nofile, Channel parent) {
  if (auto limited = measure::set_descriptor_limit(static_cast<std::uint64_t>(nofile)); !limited) {
    parent.send({{"error", limited.error()}});
    return 1;
  }
  Server server;
  const auto triple = server.bind();
  if (!triple) {
    parent.send({{"error", triple.error()}});
    return 1;
  }
  parent.send({{"snapshot", triple->snapshot},
               {"updates", triple->updates},
               {"collector", triple->collector}});
  server.run();
  return 0;
}

}  // namespace

base::Result<Baseline> start_baseline(int nofile) {
  auto [ours, theirs] = Channel::make();
  Baseline baseline;
  auto child = measure::Child::fork(
      "clone-2015", [nofile, &theirs = theirs] { return serve(nofile, std::move(theirs)); });
  if (!child) return base::Error{child.error()};
  baseline.process = std::move(*child);
  const std::int64_t deadline = measure::now_us() + 5'000'000;
  while (measure::now_us() < deadline && baseline.process.running()) {
    const auto reply = ours.receive();
    if (!reply) {
      usleep(10'000);
      continue;
    }
    if (reply->contains("error")) return base::Error{"baseline: " + reply->value("error", "")};
    baseline.target = {
        .name = "baseline",
        .triples = {{.snapshot = reply->value("snapshot", ""),
                     .updates = reply->value("updates", ""),
                     .collector = reply->value("collector", "")}},
        .processes = {{.role = "baseline", .name = "clone-2015", .pid = baseline.process.pid()}}};
    return baseline;
  }
  return base::Error{"baseline: the server did not start"};
}

}  // namespace canopy::loadtest
