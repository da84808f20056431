// What a listening socket may take, and how its host is found.
#include "core/net/bind_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "core/net/socket.h"

namespace canopy::net {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace fs = std::filesystem;

class BindAddress : public testing::Test {
 protected:
  BindAddress() : folder_(fs::temp_directory_path() / ("bind" + std::to_string(getpid()))) {
    fs::create_directory(folder_);
  }
  ~BindAddress() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string ipc(const std::string& name) const { return "ipc://" + path(name); }

  // Whether a message from a new peer reaches `server`, bound to `endpoint`.
  bool serves(Socket& server, const std::string& endpoint) {
    Socket client(context_, SocketType::push, {});
    EXPECT_TRUE(client.connect(endpoint));
    client.send({"x"});
    Message message;
    for (int i = 0; i < 500; ++i) {
      if (server.receive(message)) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  fs::path folder_;
  Context context_;
};

TEST_F(BindAddress, TakesAddressesNamesAndInterfaces) {
  for (const char* host : {"127.0.0.1", "localhost", "lo", "*", "0.0.0.0"}) {
    Socket server(context_, SocketType::pull, {});
    const auto status = server.bind("tcp://" + std::string(host) + ":*");
    ASSERT_TRUE(status) << status.error();
    const std::string bound = server.last_endpoint();
    EXPECT_THAT(bound, testing::AnyOf(StartsWith("tcp://127.0.0.1:"), StartsWith("tcp://0.0.0.0:")))
        << host;
    EXPECT_TRUE(serves(server, "tcp://127.0.0.1" + bound.substr(bound.rfind(':'))));
  }
}

TEST_F(BindAddress, TakesIPv6) {
  for (const char* host : {"[::1]", "[::]"}) {
    Socket server(context_, SocketType::pull, {});
    const auto status = server.bind("tcp://" + std::string(host) + ":*");
    ASSERT_TRUE(status) << status.error();
    const std::string bound = server.last_endpoint();
    EXPECT_THAT(bound, StartsWith("tcp://" + std::string(host) + ":"));
    EXPECT_TRUE(serves(server, "tcp://[::1]" + bound.substr(bound.rfind(':'))));
  }
}

TEST_F(BindAddress, SaysThatANameHasNoAddress) {
  Socket server(context_, SocketType::pull, {});
  EXPECT_THAT(server.bind("tcp://no-such-host.invalid:*").error(),
              HasSubstr("'no-such-host.invalid' has no IPv4 address"));
}

TEST_F(BindAddress, LeavesTheSocketOfALivingProcessAlone) {
  Socket first(context_, SocketType::pull, {});
  ASSERT_TRUE(first.bind(ipc("s")));
  Context other_process;
  Socket second(other_process, SocketType::pull, {});
  EXPECT_THAT(second.bind(ipc("s"), 30ms).error(), HasSubstr("in use"));
  EXPECT_TRUE(serves(first, ipc("s")));
}

TEST_F(BindAddress, WaitsForAPredecessorThatGoesAway) {
  std::optional<Context> predecessor(std::in_place);
  std::optional<Socket> first(std::in_place, *predecessor, SocketType::pull, SocketOptions{});
  ASSERT_TRUE(first->bind(ipc("s")));
  std::thread leaving([&] {
    std::this_thread::sleep_for(50ms);
    first.reset();
    predecessor.reset();
  });
  Socket second(context_, SocketType::pull, {});
  EXPECT_TRUE(second.bind(ipc("s"), 10s));
  leaving.join();
  EXPECT_TRUE(serves(second, ipc("s")));
}

TEST_F(BindAddress, TakesAPathThatNobodyAnswersAt) {
  {
    Context dead;
    Socket first(dead, SocketType::pull, {});
    ASSERT_TRUE(first.bind(ipc("s")));
    fs::rename(path("s"), path("left"));  // so that it is not removed
  }
  EXPECT_EQ(look_at(ipc("left")), IpcPath::free);
  Socket second(context_, SocketType::pull, {});
  ASSERT_TRUE(second.bind(ipc("left")));
  EXPECT_TRUE(serves(second, ipc("left")));
}

TEST_F(BindAddress, RemovesNoFileThatIsNoSocket) {
  std::ofstream(path("data")) << "precious";
  Socket server(context_, SocketType::pull, {});
  EXPECT_THAT(server.bind(ipc("data")).error(), HasSubstr("there is a file of this name"));
  EXPECT_EQ(fs::file_size(path("data")), 8u);
}

TEST(KeyPairs, BelongTogetherOrNot) {
  const access::KeyPair one = make_key_pair();
  EXPECT_TRUE(is_pair(one));
  EXPECT_FALSE(is_pair({.public_key = one.public_key, .secret_key = make_key_pair().secret_key}));
}

}  // namespace
}  // namespace canopy::net
