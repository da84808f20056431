// Clients that retry through two proxies, over links that lose, repeat and reorder: checked against
// a model, write by write.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "core/wire/link.h"
#include "tests/unit/shard/led.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using wire::Fault;
using namespace std::chrono_literals;

// A model of a partition, in maps that are copied whole.
class Model {
 public:
  struct Entry {
    Revision revision{};
    std::string value{};
    std::int64_t expires_at_ms = 0;
  };
  using RequestId = std::pair<std::string, std::uint64_t>;
  struct State {
    std::map<std::string, Entry> entries{};
    std::map<RequestId, Result> results{};
    Revision last{};
  };

  explicit Model(Revision start) { staged_.last = committed_.last = start; }

  // Nothing when it must be told apart as a repetition.
  std::optional<Result> stage(const wire::WriteRequest& request, std::int64_t now_ms) {
    const std::uint64_t settled = settled_[request.client];
    const RequestId id{request.client, request.number};
    const auto known = staged_.results.find(id);
    const bool forgotten =
        known == staged_.results.end() ||
        (known->second.fault == Fault::none && known->second.revision <= committed_.last);
    if (request.number < settled && forgotten) return Result{Fault::replayed};
    if (known != staged_.results.end()) return std::nullopt;
    expire(now_ms);
    const Result result = decide(request, now_ms);
    if (result.fault == Fault::none) settling_.emplace_back(request.client, request.settled);
    return staged_.results[id] = result;
  }
  void expire(std::int64_t now_ms) {
    // Only what is committed expires, as long as nothing staged has replaced it. Which of several
    // goes first does not show: they are gone.
    for (const auto& [key, entry] : committed_.entries) {
      if (entry.expires_at_ms == 0 || entry.expires_at_ms > now_ms) continue;
      const auto at = staged_.entries.find(key);
      if (at == staged_.entries.end() || at->second.revision != entry.revision) continue;
      staged_.entries.erase(at);
      staged_.last = staged_.last.next();
    }
  }
  void commit() {
    committed_ = staged_;
    for (const auto& [client, settled] : settling_) {
      settled_[client] = std::max(settled_[client], settled);
    }
    settling_.clear();
  }
  Result result(const RequestId& id) const { return staged_.results.at(id); }
  const State& committed() const { return committed_; }

 private:
  Result decide(const wire::WriteRequest& request, std::int64_t now_ms) {
    const auto revision_in = [](const State& state, const std::string& key) {
      const auto entry = state.entries.find(key);
      return entry == state.entries.end() ? Revision() : entry->second.revision;
    };
    State after = staged_;
    for (const wire::Write& write : request.writes) {
      if (write.if_revision && revision_in(after, write.key) != *write.if_revision) {
        return {Fault::revision_mismatch, revision_in(staged_, write.key)};
      }
      after.last = after.last.next();
      after.entries.erase(write.key);
      if (write.deletes) continue;
      after.entries[write.key] = {after.last, write.value,
                                  write.ttl_ms > 0 ? now_ms + write.ttl_ms : 0};
    }
    staged_ = std::move(after);
    return {Fault::none, staged_.last};
  }

  State committed_;
  State staged_;
  std::map<std::string, std::uint64_t> settled_;
  std::vector<std::pair<std::string, std::uint64_t>> settling_;  // by requests of this turn
};

struct Client {
  std::string id{};
  std::uint64_t last = 0;
  std::map<std::uint64_t, wire::WriteRequest> unanswered{};
  std::map<std::uint64_t, wire::Answer> answers{};

  std::uint64_t settled() const {
    return unanswered.empty() ? last + 1 : unanswered.begin()->first;
  }
};

class PartitionModel : public testing::TestWithParam<unsigned> {
 protected:
  static constexpr std::size_t keys = 6;

  PartitionModel() : random_(GetParam()) {
    for (const char* id : {"client-a", "client-b", "client-c"}) clients_.push_back({.id = id});
  }
  bool one_in(unsigned n) { return random_() % n == 0; }
  std::int64_t now_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }

  wire::WriteRequest compose(Client& client) {
    wire::WriteRequest request{.client = client.id, .number = ++client.last};
    const std::size_t count = 1 + random_() % 3;
    for (std::size_t i = 0; i < count; ++i) {
      wire::Write write{.key = "/p/" + std::to_string(random_() % keys),
                        .value = client.id + " " + std::to_string(request.number)};
      write.deletes = one_in(4);
      if (one_in(4)) write.ttl_ms = 1 + static_cast<std::int64_t>(random_() % 50);
      if (one_in(2)) {
        const auto entry = led_.tree().find(write.key);
        write.if_revision = entry == nullptr || one_in(8) ? Revision() : entry->revision;
      }
      request.writes.push_back(std::move(write));
    }
    return request;
  }
  // Puts a copy of the request on the way.
  void send(Client& client, std::uint64_t number) {
    wire::RoutedRequest routed{.request = client.unanswered.at(number)};
    routed.request.settled = client.settled();
    wire_.push_back({1 + random_() % 2, std::move(routed)});
  }
  void arrive() {
    const std::size_t at = random_() % wire_.size();
    auto [proxy, routed] = wire_[at];
    if (!one_in(5)) wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));  // else again
    const Model::RequestId id{routed.request.client, routed.request.number};
    const auto expected = model_.stage(routed.request, now_ms());
    const std::string reply_to = routed.reply_to = std::to_string(++arrived_);
    const auto staged = partition_.stage(proxy, std::move(routed), now_);
    ASSERT_EQ(staged.repeated, !expected.has_value());
    const Result result = expected ? *expected : model_.result(id);
    ASSERT_EQ(staged.fault, result.fault);
    if (result.fault == Fault::replayed) {
      expected_replies_[reply_to] = {proxy, id, result};
      return;
    }
    // Decided in this turn, or refused before: only the latest way is answered.
    if (const auto earlier = waits_.find(id); earlier != waits_.end()) {
      expected_replies_.erase(earlier->second);
    }
    if (expected || waits_.contains(id) || result.fault != Fault::none) waits_[id] = reply_to;
    expected_replies_[reply_to] = {proxy, id, result};
  }
  void commit() {
    partition_.expire(now_);
    model_.expire(now_ms());
    const auto committed = led_.commit(now_);
    model_.commit();
    for (const wire::Batch& batch : committed.batches) {
      EXPECT_EQ(batch.after, published_);
      published_ = batch.end();
    }
    ASSERT_EQ(published_, model_.committed().last);
    ASSERT_EQ(committed.replies.size(), expected_replies_.size());
    for (const Reply& reply : committed.replies) check(reply);
    waits_.clear();
    expected_replies_.clear();
    ASSERT_EQ(led_.tree().size(), model_.committed().entries.size());
    for (const auto& [key, entry] : model_.committed().entries) {
      const auto held = led_.tree().find(key);
      ASSERT_NE(held, nullptr);
      ASSERT_EQ(held->revision, entry.revision);
      ASSERT_EQ(held->value, entry.value);
      ASSERT_EQ(held->expires_at_ms, entry.expires_at_ms);
    }
  }
  void check(const Reply& reply) {
    const wire::Answer& answer = reply.answer;
    const auto expected = expected_replies_.find(answer.reply_to);
    ASSERT_NE(expected, expected_replies_.end());
    const auto& [proxy, id, result] = expected->second;
    EXPECT_EQ(reply.proxy, proxy);
    EXPECT_EQ(answer.number, id.second);
    EXPECT_EQ(answer.fault, result.fault);
    EXPECT_EQ(answer.revision, result.revision);
    if (answer.fault == Fault::replayed || one_in(4)) return;  // lost on its way
    for (Client& client : clients_) {
      if (client.id != id.first) continue;
      const auto [at, first] = client.answers.emplace(id.second, answer);
      EXPECT_EQ(at->second.fault, answer.fault);
      EXPECT_EQ(at->second.revision, answer.revision);
      client.unanswered.erase(id.second);
    }
  }
  void turn() {
    for (std::size_t left = random_() % 8; left > 0 && !wire_.empty(); --left) {
      arrive();
      if (HasFatalFailure()) return;
    }
    commit();
    now_ += std::chrono::milliseconds(random_() % 10);
  }

  struct Expected {
    ProxyId proxy = 0;
    Model::RequestId id{};
    Result result{};
  };

  std::mt19937 random_;
  base::TimePoint now_{1h};
  Led led_{{.subtree = "/p/"}, 1};
  Partition& partition_ = led_.partition();
  Model model_{Revision(1, 0)};
  Revision published_{1, 0};
  std::vector<Client> clients_;
  std::vector<std::pair<ProxyId, wire::RoutedRequest>> wire_;
  std::uint64_t arrived_ = 0;
  std::map<Model::RequestId, std::string> waits_;     // decided in this turn → reply_to
  std::map<std::string, Expected> expected_replies_;  // by reply_to
};

TEST_P(PartitionModel, AppliesEachRequestOnceAndAnswersItAlike) {
  for (int step = 0; step < 400; ++step) {
    for (Client& client : clients_) {
      if (client.unanswered.size() < 5 && one_in(2)) {
        auto request = compose(client);
        const std::uint64_t number = request.number;
        client.unanswered.emplace(number, std::move(request));
        send(client, number);
      }
      if (!client.unanswered.empty() && one_in(3)) {  // retry any of them
        auto at = client.unanswered.begin();
        std::advance(at, random_() % client.unanswered.size());
        send(client, at->first);
      }
    }
    turn();
    if (HasFatalFailure()) return;
  }
  for (int round = 0; round < 500; ++round) {
    for (Client& client : clients_) {
      for (const auto& [number, request] : client.unanswered) send(client, number);
    }
    turn();
    if (HasFatalFailure()) return;
    if (wire_.size() > 200) wire_.resize(200);
  }
  std::size_t applied = 0;
  std::set<Fault> faults;
  for (const Client& client : clients_) {
    EXPECT_TRUE(client.unanswered.empty());
    EXPECT_EQ(client.answers.size(), client.last);
    for (const auto& [number, answer] : client.answers) {
      faults.insert(answer.fault);
      applied += answer.fault == Fault::none;
    }
  }
  EXPECT_EQ(faults, (std::set{Fault::none, Fault::revision_mismatch}));
  EXPECT_GT(applied, 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PartitionModel, testing::Range(0u, 20u));

}  // namespace
}  // namespace canopy::shard
