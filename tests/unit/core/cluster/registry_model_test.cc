// The registry against a model too simple to be wrong, over long random histories.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "core/cluster/registry.h"

namespace canopy::cluster {
namespace {

constexpr int session_count = 6;
constexpr int name_count = 4;
constexpr int key_count = 8;
constexpr int partition_count = 3;
constexpr auto lease = std::chrono::seconds(3);

// What each process believes, from the letters it got.
struct View {
  std::map<std::string, std::string> keys;
  std::map<std::string, std::uint32_t> leads;
};

struct ModelSession {
  int name = 0;
  std::uint64_t started = 0;
  base::TimePoint heard{};
  bool watches = false;
};

struct Model {
  std::map<SessionId, ModelSession> sessions;
  std::map<std::string, std::pair<std::string, SessionId>> leased;
  std::map<std::string, std::deque<SessionId>> line;  // the first one leads

  void end(const SessionId& session) {
    sessions.erase(session);
    give_up(session);
  }
  void give_up(const SessionId& session) {
    std::erase_if(leased, [&](const auto& entry) { return entry.second.second == session; });
    for (auto& [partition, candidates] : line) std::erase(candidates, session);
  }
};

class History {
 public:
  explicit History(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      check();
    }
    EXPECT_GT(led_, steps / 2) << "a history in which nothing happens";
  }

 private:
  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

  void step() {
    const SessionId session = "S" + std::to_string(pick(session_count));
    const std::string key = "k/" + std::to_string(pick(key_count));
    const std::string partition = "/p" + std::to_string(pick(partition_count)) + "/";
    const std::string value = std::to_string(pick(5));
    const bool known = model_.sessions.contains(session);
    const int action = known || pick(3) == 0 ? pick(9) : 0;
    if (action >= 6 && action <= 7 && pick(3) != 0) return;  // the rarer ones
    if (known && action < 7) model_.sessions[session].heard = now_;
    switch (action) {
      case 0: return hello(session);
      case 1: return apply(registry_.ping(session, now_));
      case 2:
      case 3:
        if (known && (!model_.leased.contains(key) || model_.leased[key].second == session)) {
          model_.leased[key] = {value, session};
        }
        return apply(registry_.announce(session, key, value, now_));
      case 4:
        if (known && std::ranges::count(model_.line[partition], session) == 0) {
          model_.line[partition].push_back(session);
        }
        return apply(registry_.campaign(session, partition, 0, 0, now_));
      case 5:
        if (known) model_.sessions[session].watches = true;
        return apply(registry_.watch(session, "", now_));
      case 6: model_.give_up(session); return apply(registry_.resign(session, now_));
      case 7: model_.end(session); return apply(registry_.drop(session));
      case 8: return pass_time();
    }
  }

  void hello(const SessionId& session) {
    const int name = pick(name_count);
    const auto started = static_cast<std::uint64_t>(pick(1000));
    bool welcome = true;
    if (model_.sessions.contains(session) && model_.sessions[session].name == name) {
      model_.sessions[session].watches = false;
      views_[session].keys.clear();
    } else {
      model_.end(session);
      views_[session] = {};
      for (const auto& [id, other] : model_.sessions) {
        if (other.name != name) continue;
        welcome = std::pair(started, session) > std::pair(other.started, id);
        if (welcome) model_.end(SessionId(id));
        break;
      }
      if (welcome) model_.sessions[session] = {name, started, now_, false};
    }
    apply(registry_.hello(session, "n" + std::to_string(name), started, now_));
  }

  void pass_time() {
    now_ += std::chrono::milliseconds(pick(1000));
    std::vector<SessionId> silent;
    for (const auto& [id, session] : model_.sessions) {
      if (session.heard + lease <= now_) silent.push_back(id);
    }
    for (const SessionId& id : silent) model_.end(id);
    apply(registry_.expire(now_));
  }

  void apply(const Effects& effects) {
    for (const Letter& letter : effects.letters) {
      View& view = views_[letter.to];
      if (const auto* change = std::get_if<KeyChanged>(&letter.answer)) {
        view.keys.erase(change->key);
        if (change->value) view.keys[change->key] = *change->value;
      } else if (const auto* granted = std::get_if<Granted>(&letter.answer)) {
        std::uint32_t& held = view.leads[granted->partition];
        if (held != granted->epoch) {
          EXPECT_GT(granted->epoch, last_epoch_[granted->partition]) << "an epoch granted twice";
          last_epoch_[granted->partition] = granted->epoch;
        }
        held = granted->epoch;
      } else if (const auto* lost = std::get_if<Lost>(&letter.answer)) {
        view.leads.erase(lost->partition);
      }
    }
  }

  void check() {
    std::map<std::string, std::string> keys;
    for (const auto& [key, entry] : model_.leased) keys[key] = entry.first;
    std::map<std::string, std::string> actual;
    for (const auto& [key, entry] : registry_.entries()) actual[key] = entry.value;
    EXPECT_EQ(actual, keys);
    EXPECT_EQ(registry_.session_count(), model_.sessions.size());
    for (const auto& [id, session] : model_.sessions) {
      EXPECT_TRUE(registry_.knows(id)) << id;
      if (session.watches) {
        EXPECT_EQ(views_[id].keys, keys) << id;
      }
    }
    for (const auto& [partition, candidates] : model_.line) {
      const auto leader = registry_.leader(partition);
      ASSERT_EQ(leader.has_value(), !candidates.empty()) << partition;
      if (!leader) continue;
      const ModelSession& session = model_.sessions.at(candidates.front());
      EXPECT_EQ(leader->name, "n" + std::to_string(session.name)) << partition;
      ++led_;
      for (const auto& [id, view] : views_) {
        EXPECT_EQ(view.leads.contains(partition), id == candidates.front()) << id << partition;
      }
    }
  }

  std::mt19937 random_;
  base::TimePoint now_{std::chrono::seconds(1000)};
  Registry registry_{lease};
  Model model_;
  int led_ = 0;
  std::map<SessionId, View> views_;
  std::map<std::string, std::uint32_t> last_epoch_;
};

class RegistryModelTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(RegistryModelTest, BehavesLikeTheModel) { History(GetParam()).run(3000); }

INSTANTIATE_TEST_SUITE_P(Seeds, RegistryModelTest, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace canopy::cluster
