#include "loadtest/native_client.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace canopy::loadtest {
namespace {

// Records the first proxy that a session connects to.
class Chosen final : public client::Network, public client::Events {
 public:
  std::string name{};

  void connect(const client::Target& target) override { name = target.name; }
  void disconnect() override {}
  void send(std::string) override {}
  void ask_broker(const std::string&, std::string) override {}
  void leave_broker() override {}
  void changed(client::WatchId, const client::Change&) override {}
  void synced(client::WatchId, const client::Synced&) override {}
  void missed(client::WatchId, std::optional<std::uint64_t>) override {}
  void refused(client::WatchId, const client::Answer&) override {}
  void contact(bool) override {}
  void answered(client::CallId, client::Answer) override {}
};

TEST(NativeClient, SessionsAreSpreadEvenlyAndKnowAllProxies) {
  Target target;
  for (const char* name : {"p1", "p2", "p3"}) target.natives.push_back({.name = name});
  std::map<std::string, int> counts;
  for (std::uint32_t id = 0; id < 30; ++id) {
    Chosen chosen;
    const auto settings = native_settings(target, 42, id, 0);
    EXPECT_EQ(settings.proxies.size(), 3u);
    client::Session session(settings, chosen, chosen);
    session.start({});
    ++counts[chosen.name];
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{{"p1", 10}, {"p2", 10}, {"p3", 10}}));
}

TEST(NativeClient, EachIncarnationHasItsOwnClientId) {
  Target target;
  target.natives = {{.name = "p"}};
  std::set<std::string> ids;
  for (const std::uint64_t run : {1u, 2u}) {
    for (const std::uint32_t id : {1u, 2u}) {
      for (const std::uint32_t incarnation : {1u, 2u}) {
        ids.insert(native_settings(target, run, id, incarnation).client);
      }
    }
  }
  EXPECT_EQ(ids.size(), 8u);
  EXPECT_EQ(ids.begin()->size(), wire::native::client_id_bytes);
}

}  // namespace
}  // namespace canopy::loadtest
