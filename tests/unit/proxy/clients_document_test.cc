#include "proxy/clients_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;
using Clients = std::vector<wire::native::ClientInfo>;

Clients three() {
  return {{.connection = 1}, {.connection = 2, .queued_bytes = 9}, {.connection = 3}};
}

TEST(ClientsDocument, LongestQueuesComeFirst) {
  EXPECT_THAT(to_json("p1", three()),
              testing::MatchesRegex(".\\{[^{]*\"connection\":2,[^{]*,\\{[^{]*\"connection\":1,[^{]*"
                                    ",\\{[^{]*\"connection\":3,[^{]*\\}]\n"));
  EXPECT_EQ(to_json("p1", {}), "[]\n");
}

TEST(ClientsDocument, IsBoundedInBytes) {
  const std::size_t one = to_json("p1", {{.connection = 2, .queued_bytes = 9}}).size();
  const std::string cut = to_json("p1", three(), one + 10);
  EXPECT_EQ(cut.size(), one);
  EXPECT_THAT(cut, testing::HasSubstr("\"connection\":2,"));
}

TEST(ClientsDocument, IsMadeOfWhatTheLoopListed) {
  const base::SystemClock clock;
  net::Loop loop(clock);
  std::optional<metrics::HttpDocument> document;
  std::thread::id listed_by;
  std::thread asking([&] {
    document = clients_document(
        loop, "p1",
        [&] {
          listed_by = std::this_thread::get_id();
          return three();
        },
        20s);
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  asking.join();
  EXPECT_EQ(document->status, 200);
  EXPECT_EQ(document->body, to_json("p1", three()));
  EXPECT_EQ(listed_by, std::this_thread::get_id());
}

TEST(ClientsDocument, GivesUpOnALoopThatHangs) {
  const base::SystemClock clock;
  net::Loop loop(clock);
  EXPECT_EQ(clients_document(loop, "p1", three, 10ms).status, 503);
  loop.post([&loop] { loop.stop(); });
  loop.run();  // lists after the caller has given up
}

}  // namespace
}  // namespace canopy::proxy
