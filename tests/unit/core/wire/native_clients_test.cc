#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire::native {
namespace {

TEST(NativeClients, ManyComeInListsOfBoundedSize) {
  std::vector<ClientInfo> clients(3000);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i] = {.connection = i, .subscriptions = {16, std::string(255, 's')}};
  }
  std::vector<ClientInfo> read;
  const auto frames = encode_clients(9, clients);
  ASSERT_GT(frames.size(), 10u);
  for (const std::string& frame : frames) {
    EXPECT_LT(frame.size(), base::max_chunk_bytes + 8192);
    FromProxy message;
    ASSERT_TRUE(decode_from_proxy(frame, message));
    const auto& list = std::get<ClientList>(message);
    EXPECT_EQ(list.request, 9u);
    EXPECT_EQ(list.more, &frame != &frames.back());
    read.insert(read.end(), list.clients.begin(), list.clients.end());
  }
  EXPECT_EQ(read, clients);
  EXPECT_EQ(encode_clients(9, {}).size(), 1u);
}

TEST(NativeClients, SubscriptionsShownAreBounded) {
  ClientList list = sample_clients();
  list.clients[0].subscriptions.assign(max_shown_subscriptions + 1, "/a/");
  EXPECT_TRUE(from_proxy_again(encode(list)));
  list.clients[0].subscriptions.emplace_back("/a/");
  EXPECT_FALSE(from_proxy_again(encode(list)));
}

TEST(NativeBackup, IsOrderedAtTheBroker) {
  const auto backup = std::get<ToBroker>(decode_to_broker(
      encode(Backup{.request = 8, .shard = "s1", .name = "monday", .order = "o"})));
  EXPECT_EQ(std::get<Backup>(backup).request, 8u);
  EXPECT_EQ(std::get<Backup>(backup).shard, "s1");
  EXPECT_EQ(std::get<Backup>(backup).name, "monday");
  EXPECT_EQ(std::get<Backup>(backup).order, "o");
  const auto ordered = decode_from_broker(encode(BackupOrdered{.request = 8}));
  ASSERT_TRUE(ordered);
  EXPECT_EQ(std::get<BackupOrdered>(*ordered).request, 8u);
}

}  // namespace
}  // namespace canopy::wire::native
