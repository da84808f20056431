// A TCP proxy between a coordinator and etcd on the test's loop, which injects faults.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "core/net/descriptor.h"
#include "core/net/loop.h"

namespace canopy::coordination {

class Middleman {
 public:
  enum class Fate {
    pass,
    cut,         // the request is lost, and the connection
    cut_answer,  // the answer
    hold,        // until release()
  };

  // `port`: of etcd, on this machine.
  Middleman(net::Loop& loop, int port)
      : loop_(loop), port_(port), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 64), 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    endpoint_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    loop_.on_readable(listener_.get(), [this] { accept_one(); });
  }
  ~Middleman() {
    loop_.remove(listener_.get());
    while (!pairs_.empty()) end(pairs_.begin());
  }
  Middleman(const Middleman&) = delete;
  Middleman& operator=(const Middleman&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  // Decides what happens to each piece of a request.
  void on_request(std::function<Fate(std::string_view)> decide) { decide_ = std::move(decide); }
  void release() {
    for (Pair& pair : pairs_) pass(pair.server, std::exchange(pair.held, {}));
  }
  // From now on the answers to watches are dropped.
  void drop_watches() { drop_watches_ = true; }
  // Every byte of etcd's answers.
  const std::string& answers() const { return answers_; }

 private:
  struct Pair {
    net::Descriptor client, server;
    std::string held{};
    bool watch = false;
    bool cut_answer = false;
    bool dropping = false;
  };
  using Iterator = std::list<Pair>::iterator;

  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void accept_one() {
    net::Descriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    net::Descriptor server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port_);
    if (connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return;
    }
    const auto pair = pairs_.insert(pairs_.end(), {std::move(client), std::move(server)});
    loop_.on_readable(pair->client.get(), [this, pair] { ask(pair); });
    loop_.on_readable(pair->server.get(), [this, pair] { answer(pair); });
  }

  void ask(Iterator pair) {
    const std::string bytes = read(pair->client);
    pair->watch |= bytes.find("/v3/watch") != std::string::npos;
    const Fate fate = bytes.empty() ? Fate::cut : decide_ ? decide_(bytes) : Fate::pass;
    if (fate == Fate::cut) return end(pair);
    if (fate == Fate::hold) {
      pair->held += bytes;
      return;
    }
    pair->cut_answer |= fate == Fate::cut_answer;
    pass(pair->server, bytes);
  }

  void answer(Iterator pair) {
    const std::string bytes = read(pair->server);
    answers_ += bytes;
    pair->dropping |= pair->watch && drop_watches_;
    if (bytes.empty() || pair->cut_answer) return end(pair);
    if (!pair->dropping) pass(pair->client, bytes);
  }

  void end(Iterator pair) {
    loop_.remove(pair->client.get());
    loop_.remove(pair->server.get());
    pairs_.erase(pair);
  }

  static std::string read(const net::Descriptor& from) {
    std::array<char, 65'536> bytes;
    const ssize_t size = recv(from.get(), bytes.data(), bytes.size(), 0);
    return {bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  }
  static void pass(const net::Descriptor& to, const std::string& bytes) {
    if (!bytes.empty()) (void)send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  net::Loop& loop_;
  const int port_;
  net::Descriptor listener_;
  std::string endpoint_;
  std::function<Fate(std::string_view)> decide_;
  bool drop_watches_ = false;
  std::string answers_;
  std::list<Pair> pairs_;
};

}  // namespace canopy::coordination
