// What a listening socket may take, and how its host is found.
#include "core/net/listen_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <zmq.hpp>

namespace canopy::net {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace fs = std::filesystem;

base::Result<Descriptor> listen(const std::string& endpoint, std::chrono::milliseconds patience) {
  const auto address = parse_listen_address(endpoint);
  if (!address) return base::Error{address.error()};
  return listen_at(*address, 16, patience);
}

class ListenSocket : public testing::Test {
 protected:
  ListenSocket() : folder_(fs::temp_directory_path() / ("listen" + std::to_string(getpid()))) {
    fs::create_directory(folder_);
  }
  ~ListenSocket() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string ipc(const std::string& name) const { return "ipc://" + path(name); }

  // Whether libzmq, connecting to `endpoint`, reaches `server`.
  bool serves(const Descriptor& server, const std::string& endpoint) {
    zmq::socket_t client(context_, zmq::socket_type::dealer);
    client.set(zmq::sockopt::linger, 0);
    client.connect(endpoint);
    for (int i = 0; i < 500; ++i) {
      const Descriptor accepted(accept4(server.get(), nullptr, nullptr, SOCK_NONBLOCK));
      if (accepted) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  fs::path folder_;
  zmq::context_t context_;
};

TEST_F(ListenSocket, TakesAddressesNamesAndInterfaces) {
  for (const char* host : {"127.0.0.1", "localhost", "lo", "*", "0.0.0.0"}) {
    const auto server = listen("tcp://" + std::string(host) + ":*", 0ms);
    ASSERT_TRUE(server) << server.error();
    const std::string bound = endpoint_of(*server);
    EXPECT_THAT(bound, AnyOf(StartsWith("tcp://127.0.0.1:"), StartsWith("tcp://0.0.0.0:"))) << host;
    EXPECT_TRUE(serves(*server, "tcp://127.0.0.1" + bound.substr(bound.rfind(':'))));
  }
}

TEST_F(ListenSocket, TakesIPv6) {
  for (const char* host : {"[::1]", "[::]"}) {
    const auto server = listen("tcp://" + std::string(host) + ":*", 0ms);
    ASSERT_TRUE(server) << server.error();
    const std::string bound = endpoint_of(*server);
    EXPECT_THAT(bound, StartsWith("tcp://" + std::string(host) + ":"));
    zmq::context_t context;
    zmq::socket_t client(context, zmq::socket_type::dealer);
    client.set(zmq::sockopt::linger, 0);
    client.set(zmq::sockopt::ipv6, 1);
    client.connect("tcp://[::1]" + bound.substr(bound.rfind(':')));
    for (int i = 0; i < 500; ++i) {
      if (Descriptor(accept4(server->get(), nullptr, nullptr, SOCK_NONBLOCK))) break;
      ASSERT_LT(i, 499);
      std::this_thread::sleep_for(10ms);
    }
  }
}

TEST_F(ListenSocket, TakesFixedPorts) {
  const auto address = parse_listen_address("tcp://127.0.0.1:65535");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->port, 65535);
  for (const char* none : {"tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:65536",
                           "tcp://127.0.0.1:1x", "tcp://:1", "ipc://", "udp://127.0.0.1:1", ""}) {
    EXPECT_FALSE(parse_listen_address(none)) << none;
  }
}

TEST_F(ListenSocket, SaysThatANameHasNoAddress) {
  EXPECT_THAT(listen("tcp://no-such-host.invalid:*", 0ms).error(),
              HasSubstr("'no-such-host.invalid' has no IPv4 address"));
}

TEST_F(ListenSocket, TakesNamesOfTheAbstractNamespace) {
  const std::string name = "ipc://@canopy-listen-test-" + std::to_string(getpid());
  const auto named = listen(name, 0ms);
  ASSERT_TRUE(named) << named.error();
  EXPECT_EQ(endpoint_of(*named), name);
  EXPECT_TRUE(serves(*named, name));
  EXPECT_THAT(listen(name, 0ms).error(), HasSubstr("in use"));
  const auto any = listen("ipc://*", 0ms);
  ASSERT_TRUE(any) << any.error();
  EXPECT_THAT(endpoint_of(*any), StartsWith("ipc://@"));
  EXPECT_TRUE(serves(*any, endpoint_of(*any)));
}

TEST_F(ListenSocket, LeavesTheSocketOfALivingProcessAlone) {
  const auto first = listen(ipc("s"), 0ms);
  ASSERT_TRUE(first);
  EXPECT_THAT(listen(ipc("s"), 30ms).error(), HasSubstr("in use"));
  while (Descriptor(accept4(first->get(), nullptr, nullptr, SOCK_NONBLOCK))) {  // the probes
  }
  EXPECT_TRUE(serves(*first, ipc("s")));
}

TEST_F(ListenSocket, WaitsForAPredecessorThatGoesAway) {
  auto first = listen(ipc("s"), 0ms);
  ASSERT_TRUE(first);
  std::thread leaving([&] {
    std::this_thread::sleep_for(50ms);
    *first = Descriptor();
  });
  const auto second = listen(ipc("s"), 10s);
  leaving.join();
  ASSERT_TRUE(second) << second.error();
  EXPECT_TRUE(serves(*second, ipc("s")));
}

TEST_F(ListenSocket, RemovesNoFileThatIsNoSocket) {
  std::ofstream(path("data")) << "precious";
  EXPECT_THAT(listen(ipc("data"), 10s).error(), HasSubstr("there is a file of this name"));
  EXPECT_EQ(fs::file_size(path("data")), 8u);
}

}  // namespace
}  // namespace canopy::net
