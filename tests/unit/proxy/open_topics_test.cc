#include "proxy/open_topics.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>
#include <string>
#include <thread>

namespace canopy::proxy {
namespace {

using namespace std::chrono_literals;

// Speaks just enough ZMTP 3.0 to subscribe, over a descriptor of its own choosing.
class RawPeer {
 public:
  RawPeer() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {}
  ~RawPeer() { ::close(fd_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  void connect(const std::string& endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    write(std::string("\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL", 16) + std::string(48, '\0'));
    write(std::string("\x04\x19\5READY\x0bSocket-Type\0\0\0\3SUB", 27));
  }
  // Waits for the other side's READY: libzmq takes nothing else before it has sent it.
  void shake_hands() {
    std::string heard;
    std::array<char, 256> buffer{};
    while (heard.find("READY") == std::string::npos) {
      const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
      ASSERT_GT(count, 0);
      heard.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
  void begin(char topic) { write({0, 2, 1, topic}); }
  void end(char topic) { write({0, 2, 0, topic}); }
  // The other side closes its descriptor; ours is kept from being given to anybody else.
  void leave() { ::shutdown(fd_, SHUT_RDWR); }

 private:
  void write(const std::string& bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  int fd_;
};

class OpenTopicsTest : public testing::Test {
 protected:
  OpenTopicsTest() {
    EXPECT_TRUE(listener_.socket.bind("tcp://127.0.0.1:*"));
    for (int i = 0; i < 20; ++i) pass();  // libzmq registers its listener on its own thread
  }

  // Lets time pass in which people come and go, and nothing that they say is read.
  void pass() {
    listener_.monitor.drain(clock_.now());
    listener_.monitor.arm(1, clock_.now());
    std::this_thread::sleep_for(10ms);
  }
  void read() { topics_.read(message_, 100); }
  // Until it is true, or for so long that it will not be; then some time more, in which it stays.
  bool settles(const std::function<bool()>& condition) {
    for (int i = 0; i < 500 && !condition(); ++i) pass();
    for (int i = 0; i < 10; ++i) pass();
    return condition();
  }
  bool settles_at(int count) {
    return settles([&] {
      read();
      return counts_["t"] == count;
    });
  }
  bool connected(std::size_t count) {
    return settles([&] { return listener_.monitor.connections().size() == count; });
  }

  base::SystemClock clock_;
  net::Context context_;
  Metrics metrics_{"p1"};
  Listener listener_{context_,
                     net::SocketType::xpub,
                     {.xpub_verbose = true},
                     nullptr,
                     "tcp://127.0.0.1:*",
                     "topics",
                     metrics_.connections.Add({{"dialect", "native"}, {"role", "streams"}})};
  std::map<std::string, int, std::less<>> counts_;
  OpenTopics topics_{listener_,
                     {.look =
                          [this] {
                            listener_.monitor.drain(clock_.now());
                            topics_.forget(listener_.monitor.take_ended());
                          },
                      .begin =
                          [this](std::string_view topic, const net::Message&) {
                            ++counts_[std::string(topic)];
                            return true;
                          },
                      .end = [this](std::string_view topic) { --counts_[std::string(topic)]; },
                      .reject = [](std::string_view) {}}};
  net::Message message_;
};

TEST_F(OpenTopicsTest, NobodyEndsWhatHeHasNotBegunOrBeginsItTwice) {
  RawPeer one;
  RawPeer other;
  one.connect(listener_.socket.last_endpoint());
  other.connect(listener_.socket.last_endpoint());
  ASSERT_TRUE(connected(2));
  one.shake_hands();
  other.shake_hands();
  one.begin('t');
  one.begin('t');
  EXPECT_TRUE(settles_at(1));
  other.end('t');
  EXPECT_TRUE(settles_at(1));
  other.begin('t');
  EXPECT_TRUE(settles_at(2));
  one.end('t');
  one.end('t');
  EXPECT_TRUE(settles_at(1));
  other.leave();
  EXPECT_TRUE(settles_at(0)) << "the end of a connection ends what it had";
}

// What somebody said last is heard when the next one has his descriptor.
TEST_F(OpenTopicsTest, AConnectionIsNotTakenForItsPredecessor) {
  RawPeer one;
  RawPeer next;
  one.connect(listener_.socket.last_endpoint());
  ASSERT_TRUE(connected(1));
  one.shake_hands();
  const int descriptor = listener_.monitor.connections().begin()->first;
  one.begin('t');
  EXPECT_TRUE(settles_at(1));
  one.end('t');
  one.begin('u');
  one.leave();
  ASSERT_TRUE(connected(0));
  next.connect(listener_.socket.last_endpoint());
  ASSERT_TRUE(connected(1));
  ASSERT_EQ(listener_.monitor.connections().begin()->first, descriptor)
      << "the kernel gave another";
  next.shake_hands();
  next.begin('t');
  next.begin('u');
  EXPECT_TRUE(settles_at(1));
  next.leave();
  EXPECT_TRUE(settles_at(0));
  EXPECT_EQ(counts_["u"], 0);
}

}  // namespace
}  // namespace canopy::proxy
