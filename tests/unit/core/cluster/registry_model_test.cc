// The registry against a simple model, over long random histories in which the registry restarts,
// with and without its record.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "core/cluster/registry.h"

namespace canopy::cluster {
namespace {

constexpr int session_count = 6;
constexpr int name_count = 4;
constexpr int key_count = 8;
constexpr auto lease = std::chrono::seconds(3);

// The state of each process, from the messages that it got.
struct View {
  std::map<std::string, std::string> keys{};
  int name = 0;
  std::uint32_t generation = 0;
  std::uint32_t known = 0;         // the highest number it was told
  std::uint32_t known_before = 0;  // the same, before the record was lost
  bool survivor = false;           // its generation is from before the record was lost
  std::string record{};
};

struct ModelSession {
  int name = 0;
  std::string identity{};
  base::TimePoint heard{};
  bool watches = false;
  bool resigned = false;
};

struct Model {
  std::map<SessionId, ModelSession> sessions;
  std::map<std::string, std::pair<std::string, SessionId>> leased;
  std::map<std::string, std::string> holders;  // of exclusive names
  base::TimePoint holders_return_until{};

  void end(const SessionId& session) {
    sessions.erase(session);
    give_up(session);
  }
  void give_up(const SessionId& session) {
    std::erase_if(leased, [&](const auto& entry) { return entry.second.second == session; });
  }
};

class History {
 public:
  explicit History(unsigned seed) : random_(seed) { model_.holders_return_until = now_ + lease; }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      check();
    }
    EXPECT_GT(changes_, steps / 10) << "a history in which nothing happens";
    EXPECT_GT(renewed_, 0);
    EXPECT_GT(refused_, 0);
  }

 private:
  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

  void step() {
    if (!granted_.empty()) highest_ = std::max(highest_, *granted_.rbegin());
    granted_.clear();
    const SessionId session = "S" + std::to_string(pick(session_count));
    const std::string key = "k/" + std::to_string(pick(key_count));
    const std::string value = std::to_string(pick(5));
    const bool known = model_.sessions.contains(session);
    if (pick(100) == 0) return restart();
    const int action = known || pick(3) == 0 ? pick(8) : 0;
    if (action >= 5 && action <= 6 && pick(3) != 0) return;  // the rarer ones
    if (known && action < 6) model_.sessions[session].heard = now_;
    switch (action) {
      case 0: return register_process(session);
      case 1: return apply(registry_.ping(session, now_));
      case 2:
      case 3:
        if (known) model_.sessions[session].resigned = false;
        if (known && (!model_.leased.contains(key) || model_.leased[key].second == session)) {
          model_.leased[key] = {value, session};
        }
        return apply(registry_.announce(session, key, value, now_));
      case 4:
        if (known) model_.sessions[session].watches = true;
        return apply(registry_.watch(session, "", now_));
      case 5:
        model_.give_up(session);
        if (known) {
          model_.sessions[session].resigned = true;
          model_.holders.erase("n" + std::to_string(model_.sessions[session].name));
        }
        return apply(registry_.resign(session, now_));
      case 6:
        if (!known) return;
        (void)registry_.disconnected(session, now_);
        apply(registry_.process_ended("n" + std::to_string(model_.sessions[session].name)));
        return model_.end(session);
      case 7: return pass_time();
    }
  }

  // A process registers for the first time, or again. The last name is held exclusively.
  void register_process(const SessionId& session) {
    View& view = views_[session];
    const auto present = model_.sessions.find(session);
    const bool anew = pick(3) == 0 || view.generation == 0;
    const int name = anew ? pick(name_count) : view.name;
    if (present != model_.sessions.end() && present->second.name == name) {
      present->second.watches = false;
      view.keys.clear();
      apply(registry_.register_process(session, registration_of(session, present->second.identity),
                                       now_));
      view.generation = registry_.generation(session);
      return;
    }
    if (anew) view = {.name = name};
    std::string identity;
    if (name == name_count - 1) identity = pick(2) == 0 ? "x" : "y";
    register_anew(session, registration_of(session, identity));
  }

  Registration registration_of(const SessionId& session, const std::string& identity) {
    const View& view = views_[session];
    reported_before_ = std::max(reported_before_, view.known_before);
    return {.name = "n" + std::to_string(view.name),
            .generation = view.generation,
            .known = view.known,
            .record = view.record,
            .identity = identity};
  }

  void register_anew(const SessionId& session, const Registration& registration) {
    View& view = views_[session];
    model_.end(session);
    view.keys.clear();
    SessionId rival;
    for (const auto& [id, other] : model_.sessions) {
      if (other.name == view.name) rival = id;
    }
    std::uint32_t of_rival = rival.empty() ? 0 : registry_.generation(rival);
    const Effects effects = registry_.register_process(session, registration, now_);
    for (const Message& message : effects.messages) {
      const auto* renewed = std::get_if<Renewed>(&message.body);
      if (renewed != nullptr && message.to == rival) of_rival = renewed->generation;
    }
    const bool welcome = may_hold(session, registration, rival, of_rival);
    EXPECT_EQ(registry_.knows(session), welcome) << session << " " << registration.name;
    if (welcome) {
      if (!rival.empty()) model_.end(rival);
      if (!registration.identity.empty()) model_.holders[registration.name] = registration.identity;
      model_.sessions[session] = {
          .name = view.name, .identity = registration.identity, .heard = now_};
    } else {
      ++refused_;
    }
    apply(effects);
    if (!welcome) return;
    const std::uint32_t generation = registry_.generation(session);
    if (generation != registration.generation) {
      count(generation);
      view.survivor = false;
    }
    view.generation = generation;
    view.record = registry_.record();
    view.known = std::max(view.known, generation);
  }

  bool may_hold(const SessionId& session, const Registration& registration, const SessionId& rival,
                std::uint32_t of_rival) {
    if (rival.empty()) {
      return !model_.holders.contains(registration.name) || now_ >= model_.holders_return_until ||
             model_.holders[registration.name] == registration.identity;
    }
    const ModelSession& other = model_.sessions[rival];
    if (!other.identity.empty()) return other.resigned || other.identity == registration.identity;
    return registration.generation == 0 ||
           std::pair(registration.generation, session) > std::pair(of_rival, rival);
  }

  // Every number is above all numbers that this record granted before this step.
  void count(std::uint32_t number) {
    EXPECT_GT(number, highest_);
    EXPECT_TRUE(granted_.insert(number).second);
  }

  void restart() {
    if (pick(2) == 0) {
      kept_ = {.identity = kept_.identity + "'"};
      highest_ = 0;
      granted_.clear();
      reported_before_ = 0;
      for (auto& [id, view] : views_) {
        view.known_before = view.known;
        view.survivor = view.generation != 0;
      }
    }
    model_ = {};
    model_.holders = kept_.holders;
    model_.holders_return_until = now_ + lease;
    for (auto& [id, view] : views_) {
      view.keys.clear();
    }
    registry_ = Registry(lease, record(), now_);
  }

  DirectoryRecord record() {
    return DirectoryRecord(kept_, [this](const DirectoryRecord::Kept& kept) {
      kept_ = kept;
      return base::Status();
    });
  }

  void pass_time() {
    now_ += std::chrono::milliseconds(pick(1000));
    std::vector<SessionId> expired;
    for (const auto& [id, session] : model_.sessions) {
      if (session.heard + lease <= now_) expired.push_back(id);
    }
    for (const SessionId& id : expired) model_.end(id);
    apply(registry_.expire(now_));
  }

  void apply(const Effects& effects) {
    for (const Message& message : effects.messages) {
      View& view = views_[message.to];
      if (const auto* change = std::get_if<KeyChanged>(&message.body)) {
        view.keys.erase(change->key);
        if (change->value) view.keys[change->key] = *change->value;
        ++changes_;
      } else if (const auto* renewed = std::get_if<Renewed>(&message.body)) {
        count(renewed->generation);
        view.generation = renewed->generation;
        view.survivor = false;
        view.known = std::max(view.known, view.generation);
        ++renewed_;
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
      ASSERT_TRUE(registry_.knows(id)) << id;
      EXPECT_EQ(registry_.generation(id), views_[id].generation) << id;
      if (!views_[id].survivor) {
        EXPECT_GT(registry_.generation(id), reported_before_) << id;
      }
      if (session.watches) {
        EXPECT_EQ(views_[id].keys, keys) << id;
      }
    }
  }

  std::mt19937 random_;
  base::TimePoint now_{std::chrono::seconds(1000)};
  DirectoryRecord::Kept kept_{.identity = "r"};
  Registry registry_{lease, record(), now_};
  Model model_;
  int changes_ = 0;
  int renewed_ = 0;
  int refused_ = 0;
  std::uint32_t highest_ = 0;        // granted since the record was lost
  std::set<std::uint32_t> granted_;  // in this step
  // The highest number of an earlier record that was reported to the registry.
  std::uint32_t reported_before_ = 0;
  std::map<SessionId, View> views_;
};

class RegistryModelTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(RegistryModelTest, BehavesLikeTheModel) { History(GetParam()).run(3000); }

INSTANTIATE_TEST_SUITE_P(Seeds, RegistryModelTest, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace canopy::cluster
