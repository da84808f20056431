#include "client/cli/clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/wire/member.h"

namespace canopy::client::cli {
namespace {

using testing::ElementsAre;
using wire::ProxyMember;

std::pair<std::string, std::string> proxy(const std::string& name, const std::string& state,
                                          const std::string& native) {
  return {"proxies/" + name, to_json(ProxyMember{.name = name, .state = state, .native = native})};
}

wire::native::Members members() {
  return {.members = {proxy("p3", "drained", ""),
                      proxy("p2", "ready", ""),
                      proxy("p1", "ready", "tcp://h:1"),
                      proxy("p4", "down", ""),
                      proxy("p5", "full", "tcp://h:5"),
                      {"proxies/p6", "nonsense"},
                      {"shards/s1", "{\"name\":\"s1\"}"}}};
}

std::vector<std::string> shown(const std::vector<AskedProxy>& proxies) {
  std::vector<std::string> lines;
  for (const AskedProxy& each : proxies) {
    lines.push_back(each.name + " " + each.native + " " + each.fault);
  }
  return lines;
}

TEST(Clients, ProxiesAreFoundInTheDirectory) {
  EXPECT_THAT(
      shown(proxies_of(members(), "")),
      ElementsAre("p1 tcp://h:1 ", "p2  no `native` endpoint", "p4  down", "p5 tcp://h:5 "));
  EXPECT_THAT(shown(proxies_of(members(), "p3")), ElementsAre("p3  drained"));
  EXPECT_THAT(shown(proxies_of(members(), "p5")), ElementsAre("p5 tcp://h:5 "));
  EXPECT_TRUE(proxies_of(members(), "p9").empty());
}

TEST(Clients, AFaultIsPrintedOnceForAllItsProxies) {
  EXPECT_THAT(fault_lines({{.name = "p1", .fault = "no answer"},
                           {.name = "p2"},
                           {.name = "p3", .fault = "down"},
                           {.name = "p4\x1b", .fault = "no answer"}}),
              ElementsAre("p3: down", "p1, p4\\x1b: no answer"));
}

std::vector<ListedClient> example() {
  return clients_of({{.name = "p1",
                      .clients = {{.connection = 3,
                                   .peer = "192.0.2.1:4711",
                                   .name = "bob",
                                   .protocol = "native 2",
                                   .subscriptions = {"/a/", "/b/\n"},
                                   .age_ms = 59'999},
                                  {.connection = 20,
                                   .peer = "192.0.2.2:4712",
                                   .protocol = "kvsimple updates",
                                   .queued_bytes = 70'000,
                                   .missed = 5,
                                   .age_ms = 7'200'000}}},
                     {.name = "p2",
                      .clients = {{.connection = 4,
                                   .peer = "192.0.2.3:4713",
                                   .name = "alice",
                                   .protocol = "native 2",
                                   .queued_bytes = 10,
                                   .missed = 6,
                                   .catch_ups = 2,
                                   .age_ms = 120'000}}}});
}

std::vector<std::uint64_t> order(ClientOrder by) {
  auto clients = example();
  sort(clients, by);
  std::vector<std::uint64_t> connections;
  for (const ListedClient& each : clients) connections.push_back(each.client.connection);
  return connections;
}

TEST(Clients, AreSorted) {
  EXPECT_THAT(order(ClientOrder::queue), ElementsAre(20, 4, 3));
  EXPECT_THAT(order(ClientOrder::missed), ElementsAre(4, 20, 3));
  EXPECT_THAT(order(ClientOrder::age), ElementsAre(20, 4, 3));
  EXPECT_THAT(order(ClientOrder::name), ElementsAre(20, 4, 3));
  EXPECT_THAT(order(ClientOrder::connection), ElementsAre(3, 20, 4))
      << "of one proxy after another";
}

TEST(Clients, TheTableIsAligned) {
  EXPECT_EQ(
      to_table(example()),
      "PROXY  CONNECTION  PEER            NAME   PROTOCOL          QUEUED  MISSED  CATCH-UPS  "
      "AGE  SUBSCRIPTIONS\n"
      "p1     3           192.0.2.1:4711  bob    native 2          0       0       0          "
      "59s  /a/, /b/\\n\n"
      "p1     20          192.0.2.2:4712  -      kvsimple updates  70000   5       0          "
      "2h   -\n"
      "p2     4           192.0.2.3:4713  alice  native 2          10      6       2          "
      "2m   -\n");
}

TEST(Clients, JsonIsAnArray) {
  EXPECT_EQ(to_json(std::vector<ListedClient>()), "[]\n");
  EXPECT_THAT(to_json(example()),
              testing::MatchesRegex("\\[\\{\"proxy\":\"p1\",\"connection\":3,[^}]*\\},"
                                    "\\{\"proxy\":\"p1\",\"connection\":20,[^}]*\\},"
                                    "\\{\"proxy\":\"p2\",\"connection\":4,[^}]*\\}\\]\n"));
}

}  // namespace
}  // namespace canopy::client::cli
