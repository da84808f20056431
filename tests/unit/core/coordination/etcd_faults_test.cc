// Faults between coordinator and etcd: lost requests and answers, and compacted histories.
#include "core/coordination/base64.h"
#include "tests/unit/core/coordination/etcd_world.h"
#include "tests/unit/core/coordination/middleman.h"

namespace canopy::coordination {
namespace {

using ::testing::ElementsAre;
using Fate = Middleman::Fate;

class EtcdFaultsTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    if (IsSkipped()) return;
    direct_ = client("direct");
    watch(*direct_);
    ASSERT_TRUE(until([&] { return direct_->connected(); }));
    middleman_ = std::make_unique<Middleman>(loop_, server_->port());
    settings_.endpoints = {middleman_->endpoint()};
    client_ = client("client");
    ASSERT_TRUE(until([&] { return client_->connected(); }));
  }

  // The first time that the key is compared and set.
  void first_swap(
      Fate fate, std::function<void()> then = [] {}) {
    const std::string key = to_base64("canopy/test/directory/k");
    middleman_->on_request([this, key, fate, then](std::string_view bytes) {
      const bool swaps = bytes.find("/kv/txn") != std::string::npos &&
                         bytes.find('"' + key + '"') != std::string::npos;
      if (!swaps || swaps_++ != 0) return Fate::pass;
      then();
      return fate;
    });
  }
  void swap(const std::string& value) {
    client_->compare_and_set("k", value, 0, [this](bool swapped) { answers_.push_back(swapped); });
  }

  std::unique_ptr<Coordinator> direct_, client_;
  std::unique_ptr<Middleman> middleman_;
  int swaps_ = 0;
  std::vector<bool> answers_;
};

TEST_F(EtcdFaultsTest, ASwapWhoseAnswerIsLostIsKnownByItsValue) {
  first_swap(Fate::cut_answer);
  swap("mine");
  EXPECT_TRUE(until([&] { return answers_.size() == 1 && !events_.empty(); }));
  EXPECT_THAT(answers_, ElementsAre(true));
  EXPECT_THAT(events_, ElementsAre("k=mine"));
  EXPECT_EQ(swaps_, 2);
}

TEST_F(EtcdFaultsTest, ASwapThatIsLostIsRepeated) {
  first_swap(Fate::cut);
  swap("mine");
  EXPECT_TRUE(until([&] { return answers_.size() == 1 && !events_.empty(); }));
  EXPECT_THAT(answers_, ElementsAre(true));
  EXPECT_EQ(swaps_, 2);
}

TEST_F(EtcdFaultsTest, ASwapThatIsLostToAnotherFails) {
  bool other = false;
  first_swap(Fate::cut, [&] {
    direct_->compare_and_set("k", "other", 0, [&](bool swapped) { other = swapped; });
  });
  // After the other coordinator's request.
  swap("mine");
  EXPECT_TRUE(until([&] { return answers_.size() == 1; }));
  EXPECT_TRUE(other);
  EXPECT_THAT(answers_, ElementsAre(false));
  EXPECT_EQ(seen_["k"], "other");
}

TEST_F(EtcdFaultsTest, AHistoryThatIsGoneIsListedAgain) {
  middleman_->on_request([](std::string_view bytes) {
    return bytes.find("/v3/watch") == std::string::npos ? Fate::pass : Fate::hold;
  });
  std::map<std::string, std::string> seen;
  client_->watch("", [&](const Event& event) { seen[event.key] = event.value.value_or("(gone)"); });
  direct_->announce("first", "1");
  ASSERT_TRUE(until([&] { return seen_.contains("first"); }));
  for (int i = 0; i < 5; ++i) direct_->announce("later", std::to_string(i));
  direct_->announce("last", "1");
  ASSERT_TRUE(until([&] { return seen_.contains("last") && seen_["later"] == "4"; }));
  settings_.endpoints = {server_->endpoint()};
  const auto newest = std::max(versions_["last"], versions_["later"]);
  ask("kv/compaction", R"({"revision":")" + std::to_string(newest) + "\"}");
  EXPECT_FALSE(seen.contains("last"));
  middleman_->on_request(nullptr);
  middleman_->release();
  EXPECT_TRUE(until([&] { return seen == seen_; }, seconds(20)));
  EXPECT_NE(middleman_->answers().find("compact_revision"), std::string::npos);
}

TEST_F(EtcdFaultsTest, AWatchThatHasFallenSilentIsNoticed) {
  std::map<std::string, std::string> seen;
  client_->watch("", [&](const Event& event) {
    seen.erase(event.key);
    if (event.value) seen[event.key] = *event.value;
  });
  direct_->announce("first", "1");
  direct_->announce("second", "1");
  ASSERT_TRUE(until([&] { return seen.size() == 2; }));
  middleman_->drop_watches();
  direct_->announce("first", "2");
  ASSERT_TRUE(until([&] { return seen_["first"] == "2"; }));
  pass(milliseconds(100));
  EXPECT_EQ(seen["first"], "1");
  clock_.advance(seconds(31));
  EXPECT_TRUE(until([&] { return seen["first"] == "2"; }, seconds(20)));
}

TEST_F(EtcdFaultsTest, AnAnswerThatIsNoneIsTriedAgain) {
  const int port = free_port();
  settings_.endpoints = {"http://127.0.0.1:" + std::to_string(port), middleman_->endpoint()};
  net::Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 64), 0);
  loop_.on_readable(listener.get(), [&] {
    const net::Descriptor peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[{}{}";
    (void)send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  });
  const auto other = client("other");
  watch(*other);
  EXPECT_TRUE(until([&] { return other->connected(); }));
  loop_.remove(listener.get());
}

}  // namespace
}  // namespace canopy::coordination
