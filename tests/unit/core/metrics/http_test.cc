#include "core/metrics/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/metrics/descriptors.h"
#include "core/metrics/http_get.h"
#include "core/metrics/http_listener.h"

namespace canopy::metrics {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A TCP connection to HOST:PORT on the loopback.
class Peer {
 public:
  explicit Peer(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Sends to a server that may have closed the connection.
  void try_to_send(const std::string& text) const {
    static_cast<void>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
  }
  bool has_answer_within(std::chrono::milliseconds patience) const {
    pollfd polled{fd_, POLLIN, 0};
    char first = 0;
    return ::poll(&polled, 1, static_cast<int>(patience.count())) == 1 &&
           ::recv(fd_, &first, 1, 0) == 1 && first == 'H';
  }
  std::string read_to_end() const {
    std::string all;
    char piece[4096];
    for (ssize_t n = 0; (n = ::recv(fd_, piece, sizeof piece, 0)) > 0;) {
      all.append(piece, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  int fd_;
  bool connected_ = false;
};

class Http : public ::testing::Test {
 protected:
  std::unique_ptr<HttpServer> start(std::chrono::milliseconds stall = 10s) {
    auto server = HttpServer::start("127.0.0.1:0", registry_, stall);
    EXPECT_TRUE(server.ok());
    return std::move(*server);
  }
  static std::string request(const HttpServer& server, const std::string& line) {
    const Peer peer(server.address());
    peer.send(line + " HTTP/1.1\r\nHost: test\r\n\r\n");
    return peer.read_to_end();
  }
  static std::string body(const std::string& response) {
    return response.substr(response.find("\r\n\r\n") + 4);
  }

  Registry registry_{"proxy", "p1"};
};

TEST_F(Http, TellsTheAddressItIsBoundTo) {
  const auto server = start();
  EXPECT_THAT(server->address(), StartsWith("127.0.0.1:"));
  EXPECT_NE(server->address(), "127.0.0.1:0");
}

TEST_F(Http, ServesMetrics) {
  registry_.counter("canopy_things_total", "Things.").Add({}).Increment(3);
  const auto server = start();
  const std::string response = request(*server, "GET /metrics?x=1");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(response, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(response, HasSubstr("\ncanopy_things_total 3\n"));
}

TEST_F(Http, LivezFollowsTheBeats) {
  const auto server = start(300ms);
  EXPECT_THAT(request(*server, "GET /livez"), StartsWith("HTTP/1.1 200"));
  std::this_thread::sleep_for(400ms);
  const std::string stalled = request(*server, "GET /livez");
  EXPECT_THAT(stalled, StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(json::parse(body(stalled))["live"], false);
  server->beat();
  EXPECT_EQ(body(request(*server, "GET /livez")), R"({"live":true})");
}

TEST_F(Http, ReadyzNamesWhatFails) {
  const auto server = start();
  EXPECT_THAT(request(*server, "GET /readyz"), StartsWith("HTTP/1.1 503"));
  server->set_ready({{"shards", ""}, {"clients", "full"}});
  EXPECT_EQ(json::parse(body(request(*server, "GET /readyz"))),
            json::parse(R"({"ready":false,"failing":{"clients":"full"}})"));
  server->set_ready({{"shards", ""}});
  const std::string ready = request(*server, "GET /readyz");
  EXPECT_THAT(ready, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(body(ready), R"({"ready":true})");
}

TEST_F(Http, ServesWhatWasLastPublished) {
  const auto server = start();
  EXPECT_THAT(request(*server, "GET /api/v1/topology"), StartsWith("HTTP/1.1 404"));
  server->publish("/api/v1/topology", "{}");
  server->publish("/api/v1/topology", R"({"proxies":[]})");
  server->publish("/page", "<html>", "text/html");
  EXPECT_EQ(body(request(*server, "GET /api/v1/topology")), R"({"proxies":[]})");
  EXPECT_THAT(request(*server, "GET /page"), HasSubstr("Content-Type: text/html\r\n"));
}

TEST_F(Http, AsksForADocumentWhenItIsWanted) {
  const auto server = start();
  int asked = 0;
  server->serve("/clients", [&asked](const std::string& rest) {
    return HttpDocument{.body = std::to_string(++asked) + rest};
  });
  server->serve("/clients/",
                [](const std::string& rest) { return http_error(403, "not " + rest); });
  EXPECT_EQ(body(request(*server, "GET /clients")), "1");
  EXPECT_EQ(body(request(*server, "GET /clients")), "2");
  const std::string refused = request(*server, "GET /clients/p%201?x=1");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_EQ(body(refused), R"({"error":"not p 1"})");
  EXPECT_THAT(request(*server, "GET /clients/a/b"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(request(*server, "GET /client"), StartsWith("HTTP/1.1 404"));
}

TEST_F(Http, ListsItsPaths) {
  const auto server = start();
  server->publish("/page", "");
  server->serve("/asked", [](auto&) { return HttpDocument(); });
  const json paths = {"/livez", "/metrics", "/readyz", "/page", "/asked"};
  EXPECT_EQ(json::parse(body(request(*server, "GET /")))["paths"], paths);
  const std::string missing = request(*server, "GET /nope");
  EXPECT_THAT(missing, StartsWith("HTTP/1.1 404 Not Found"));
  EXPECT_EQ(json::parse(body(missing))["paths"], paths);
  EXPECT_THAT(request(*server, "GET /%ff%fe%00"), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(request(*server, "GET /../../etc/passwd"), StartsWith("HTTP/1.1 404"));
}

TEST_F(Http, AnswersHeadWithoutBodyAndRefusesTheRest) {
  const auto server = start();
  const std::string head = request(*server, "HEAD /livez");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 13\r\n"));
  EXPECT_EQ(body(head), "");
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    const std::string refused = request(*server, method + " /livez");
    EXPECT_THAT(refused, StartsWith("HTTP/1.1 405")) << method;
    EXPECT_THAT(refused, HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
}

TEST_F(Http, ServesALargeDocumentWhole) {
  const auto server = start();
  const std::string large(3 << 20, 'x');
  server->publish("/large", large);
  EXPECT_EQ(body(request(*server, "GET /large")).size(), large.size());
}

TEST_F(Http, ABoundAddressIsReachedFromHere) {
  EXPECT_EQ(local_address("0.0.0.0:80"), "127.0.0.1:80");
  EXPECT_EQ(local_address("[::]:80"), "[::1]:80");
  EXPECT_EQ(local_address("lo:80"), "127.0.0.1:80");
  EXPECT_EQ(local_address("[fd00::1]:80"), "[fd00::1]:80");
}

TEST_F(Http, ServesIPv6AndNames) {
  for (const auto& [address, bound] : {std::pair("[::1]:0", "[::1]:"),
                                       {"[::]:0", "[::]:"},
                                       {"localhost:0", "127.0.0.1:"},
                                       {"lo:0", "127.0.0.1:"},
                                       {"*:0", "0.0.0.0:"}}) {
    const auto started = HttpServer::start(address, registry_, 10s);
    ASSERT_TRUE(started.ok()) << started.error();
    EXPECT_THAT((*started)->address(), StartsWith(bound));
    const auto answer = http_get(local_address((*started)->address()), "/livez", 5s);
    ASSERT_TRUE(answer.ok()) << answer.error();
    EXPECT_EQ(answer->status, 200);
    const auto second = HttpServer::start((*started)->address(), registry_);
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(second.error(), HasSubstr(": address already in use"));
  }
}

TEST_F(Http, AnAddressInUseIsAClearError) {
  const auto first = start();
  const auto second = HttpServer::start(first->address(), registry_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error(), "http " + first->address() + ": address already in use");
}

TEST_F(Http, WaitsForAnAddressThatIsBeingReleased) {
  auto first = start();
  const std::string address = first->address();
  auto second = std::async(std::launch::async,
                           [&] { return HttpServer::start(address, registry_, 10s, 10s).ok(); });
  std::this_thread::sleep_for(200ms);
  first.reset();
  EXPECT_TRUE(second.get());
}

TEST_F(Http, AnUnusableAddressIsAClearError) {
  for (const std::string address : {"192.0.2.1:0", "nonsense", "127.0.0.1:99999"}) {
    const auto server = HttpServer::start(address, registry_, 10s, 10s);
    ASSERT_FALSE(server.ok()) << address;
    EXPECT_THAT(server.error(), StartsWith("http " + address + ": "));
    EXPECT_EQ(server.error().find('\n'), std::string::npos);
  }
}

TEST_F(Http, SilentAndBrokenPeersDoNotStopIt) {
  const auto server = start();
  std::vector<std::unique_ptr<Peer>> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(std::make_unique<Peer>(server->address()));
    EXPECT_TRUE(idle.back()->connected());
    if (i % 2 == 0) idle.back()->send("GET /met");
  }
  for (const std::string& garbage : {std::string(100'000, '\xff'), std::string("\0\0\r\n\r\n", 6),
                                     std::string("GET\r\n\r\n"), std::string("\r\n\r\n")}) {
    Peer(server->address()).send(garbage);
  }
  EXPECT_THAT(request(*server, "GET /livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(Http, ACrowdOfSilentPeersIsNotWaitedFor) {
  const auto server = start();
  const std::uint64_t before = open_fds();
  std::vector<std::unique_ptr<Peer>> idle;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(std::make_unique<Peer>(server->address()));
    ASSERT_TRUE(idle.back()->connected());
    if (i % 3 == 0) idle.back()->send("GET /metrics HTTP/1.1\r\nHost:");
  }
  for (int i = 0; i < 20; ++i) {
    const Peer peer(server->address());
    peer.send("GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_TRUE(peer.has_answer_within(3s)) << i;
  }
  EXPECT_LE(open_fds(), before + idle.size() + HttpListener::max_connections + 4);
}

TEST_F(Http, PeersThatSendAByteNowAndThenAreNotWaitedFor) {
  const auto server = start();
  std::vector<std::unique_ptr<Peer>> slow;
  for (std::size_t i = 0; i < 2 * HttpListener::max_connections; ++i) {
    slow.push_back(std::make_unique<Peer>(server->address()));
  }
  for (int round = 0; round < 5; ++round) {
    for (const auto& peer : slow) peer->try_to_send("G");
    const Peer peer(server->address());
    peer.send("GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_TRUE(peer.has_answer_within(3s)) << round;
  }
}

TEST_F(Http, PeersThatTakeNoAnswerAreNotWaitedFor) {
  const auto server = start();
  server->publish("/large", std::string(6 << 20, 'x'));
  std::vector<std::unique_ptr<Peer>> unread;
  for (std::size_t i = 0; i < HttpListener::max_connections; ++i) {
    unread.push_back(std::make_unique<Peer>(server->address()));
    unread.back()->send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  const Peer peer(server->address());
  peer.send("GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_TRUE(peer.has_answer_within(3s));
}

TEST_F(Http, ARequestInPiecesIsAnswered) {
  const auto server = start();
  const Peer peer(server->address());
  for (const char* piece : {"GET /li", "vez HTTP/1.1\r\nHo", "st: test\r\n\r", "\n"}) {
    peer.send(piece);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 200"));
}

TEST_F(Http, ServesIpv6) {
  auto server = HttpServer::start("[::1]:0", registry_);
  ASSERT_TRUE(server.ok()) << server.error();
  EXPECT_THAT((*server)->address(), StartsWith("[::1]:"));
  const auto live = http_get((*server)->address(), "/livez");
  ASSERT_TRUE(live.ok()) << live.error();
  EXPECT_EQ(live->status, 200);
}

TEST_F(Http, ScrapesWhileTheLoopPublishes) {
  auto& counter = registry_.counter("canopy_things_total", "Things.").Add({});
  const auto server = start();
  std::jthread loop([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      counter.Increment();
      server->beat();
      server->set_ready({{"a", ""}});
      server->publish("/page", "page");
      std::this_thread::sleep_for(100us);
    }
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(request(*server, "GET /metrics"), StartsWith("HTTP/1.1 200"));
    request(*server, "GET /readyz");
    request(*server, "GET /page");
  }
}

}  // namespace
}  // namespace canopy::metrics
