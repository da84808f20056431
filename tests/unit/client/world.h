// One session in a world of its own: shards, proxies, a broker, and a network whose every frame the
// test passes on, delays or loses. Whatever the session tells is checked against the promises as it
// comes.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "client/session.h"
#include "core/wire/member.h"
#include "tests/unit/client/model_proxy.h"

namespace canopy::client::model {

using namespace std::chrono_literals;

// The events of one watch.
struct Seen {
  std::map<std::string, std::string> map{};
  std::map<std::string, Revision> revisions{};  // of each key ever reported, the last one
  std::vector<std::string> reported{};  // "+key=value" or "-key", with '~' before if not live
  std::vector<Synced::How> syncs{};
  std::uint64_t missed = 0;
  int unknown_gaps = 0;
};

struct WorldOptions {
  std::vector<std::string> partitions{""};
  std::size_t proxies = 2;
  bool broker = false;
  std::uint64_t seed = 1;
};

class World : public Network, public Events {
 public:
  explicit World(WorldOptions options = {}) : shards(options.partitions) {
    Settings settings{.client = std::string(native::client_id_bytes, 'c'),
                      .name = "the client",
                      .seed = options.seed};
    for (std::size_t i = 0; i < options.proxies; ++i) {
      proxies_.push_back(std::make_unique<Proxy>("p" + std::to_string(i), shards));
      if (!options.broker) settings.proxies.push_back(proxies_.back()->target());
    }
    if (options.broker) settings.brokers = {"tcp://b0:1", "tcp://b1:1"};
    session.emplace(std::move(settings), *this, *this);
  }

  base::TimePoint now() const { return clock.now(); }
  Proxy& proxy(std::size_t i) { return *proxies_.at(i); }
  // That the session is linked to, and one that it is not.
  Proxy& linked() {
    EXPECT_NE(link_, nullptr);
    return *link_;
  }
  Proxy& other() { return link_ == proxies_[0].get() ? *proxies_[1] : *proxies_[0]; }

  void watch(WatchId id, const std::string& subtree, std::uint32_t latest_ms = 0,
             bool lz4 = false) {
    session->watch(id, {.subtree = subtree, .latest_ms = latest_ms, .lz4 = lz4}, now());
  }
  void write(CallId id, const std::string& key, const std::string& value) {
    session->write(id, {{.key = key, .value = value}}, now());
  }

  // Passes the oldest frame on; false when there is none.
  bool deliver_message() {
    if (from_proxy.empty()) return false;
    const std::string frame = std::move(from_proxy.front());
    from_proxy.pop_front();
    session->on_message(frame, now());
    return true;
  }
  bool deliver_request() {
    if (to_proxy.empty() || link_ == nullptr || !link_->alive || link_->reads_nothing) return false;
    const std::string frame = std::move(to_proxy.front());
    to_proxy.pop_front();
    link_->on_request(frame);
    return true;
  }
  bool deliver_broker() {
    if (from_broker.empty()) return false;
    const std::string frame = std::move(from_broker.front());
    from_broker.pop_front();
    session->on_broker(frame, now());
    return true;
  }
  // Passes everything on, until nothing is under way.
  void settle() {
    while (deliver_request() || deliver_message() || deliver_broker()) {
    }
  }
  // The connection breaks, with all that is on its way; the proxy may be another process by then.
  void cut() {
    from_proxy.clear();
    to_proxy.clear();
    if (link_ != nullptr) link_->detach();
  }
  // Every proxy that lives catches up with the shards.
  void follow() {
    for (auto& each : proxies_) {
      if (each->alive) each->follow();
    }
  }
  // Time passes, with ticks, heartbeats and all frames passed on.
  void run(base::Duration time) {
    for (const base::TimePoint end = now() + time; now() < end;) {
      clock.advance(100ms);
      if (++steps_ % 10 == 0 && link_ != nullptr && link_->alive) link_->heartbeat();
      settle();
      session->tick(now());
      settle();
    }
  }
  void start() {
    session->start(now());
    settle();
  }

  // --- Network
  void connect(const Target& target) override {
    ASSERT_EQ(link_, nullptr);
    connected.push_back(target.name);
    for (auto& each : proxies_) {
      if (each->target() == target) link_ = each.get();
    }
    ASSERT_NE(link_, nullptr) << target.name;
    Proxy* proxy = link_;
    proxy->room = std::exchange(linked_room, SIZE_MAX);
    proxy->attach([this, proxy](std::string frame) {
      if (proxy->alive) from_proxy.push_back(std::move(frame));
    });
  }
  void disconnect() override {
    ASSERT_NE(link_, nullptr);
    link_->detach();
    link_ = nullptr;
    from_proxy.clear();
    to_proxy.clear();
  }
  void send(std::string frame) override {
    ASSERT_NE(link_, nullptr);
    to_proxy.push_back(std::move(frame));
  }
  void ask_broker(const std::string& endpoint, std::string frame) override {
    brokers_asked.push_back(endpoint);
    from_broker.clear();
    const auto request = native::decode_to_broker(frame);
    const auto& directory = std::get<native::Directory>(std::get<native::ToBroker>(request));
    if (!broker_answers) return;
    native::Members members{.request = directory.request};
    for (auto& each : proxies_) {
      const Target target = each->target();
      members.members.emplace_back("proxies/" + target.name,
                                   wire::to_json({.name = target.name,
                                                  .state = each->alive ? "ready" : "draining",
                                                  .max_clients = 100,
                                                  .native = target.endpoint}));
    }
    from_broker.push_back(native::encode(members));
  }
  void leave_broker() override { from_broker.clear(); }

  // --- Events
  void changed(WatchId watch, const Change& change) override {
    Seen& seen = watches[watch];
    const std::string key(change.key);
    Revision& last = seen.revisions[key];
    if (change.deleted) {
      EXPECT_EQ(seen.map.erase(key), 1u) << "deletion of what was not there: " << key;
      EXPECT_GE(change.revision, last) << key;
    } else {
      EXPECT_GT(change.revision, last) << "told again, or back in time: " << key;
      seen.map[key] = change.value;
    }
    last = change.revision;
    seen.reported.push_back(
        (change.live ? "" : "~") +
        (change.deleted ? "-" + key : "+" + key + "=" + std::string(change.value)));
  }
  void synced(WatchId watch, const Synced& synced) override {
    watches[watch].syncs.push_back(synced.how);
  }
  void missed(WatchId watch, std::optional<std::uint64_t> updates) override {
    Seen& seen = watches[watch];
    if (updates) {
      seen.missed += *updates;
    } else {
      ++seen.unknown_gaps;
    }
  }
  void refused(WatchId watch, const Answer& why) override { refusals[watch] = why; }
  void contact(bool present) override { contacts.push_back(present); }
  void answered(CallId call, Answer answer) override {
    EXPECT_FALSE(answers.contains(call)) << "call " << call << " was answered twice";
    answers[call] = std::move(answer);
  }

  base::ManualClock clock;
  Shards shards;
  std::map<WatchId, Seen> watches;
  std::map<CallId, Answer> answers;
  std::map<WatchId, Answer> refusals;
  std::vector<bool> contacts;
  std::vector<std::string> connected;  // names, as they came
  std::vector<std::string> brokers_asked;
  bool broker_answers = true;
  std::size_t linked_room = SIZE_MAX;  // of the next proxy that is connected to
  std::deque<std::string> from_proxy, from_broker, to_proxy;
  std::optional<Session> session;

 private:
  std::vector<std::unique_ptr<Proxy>> proxies_;
  Proxy* link_ = nullptr;
  int steps_ = 0;
};

}  // namespace canopy::client::model
