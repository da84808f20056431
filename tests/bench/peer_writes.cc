// One client's acknowledged writes to another server, as writes.cc measures Canopy's: with a fixed
// number under way, how many a second, and how long each takes. Prints one JSON object a window.
//
//   bench-peer-writes redis|nats PORT SECONDS WINDOW…
//
// Answers come in the order of the requests. To nats: a stream "S" takes what is published on
// "w.*", as the bucket of a key-value store does.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/tcp.h"

namespace canopy::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr int keys = 1000;
constexpr std::size_t value_bytes = 100;
constexpr auto warm_up = std::chrono::milliseconds(500);

struct Peer {
  std::string hello;   // after the server's; empty: neither greets
  char end_of_answer;  // is in an answer once
  std::string (*write)(int key);
};

std::string redis_write(int key) {
  const std::string name = "/writes/" + std::to_string(key);
  return "*3\r\n$3\r\nSET\r\n$" + std::to_string(name.size()) + "\r\n" + name + "\r\n$" +
         std::to_string(value_bytes) + "\r\n" + std::string(value_bytes, 'x') + "\r\n";
}

std::string nats_write(int key) {
  return "PUB w." + std::to_string(key) + " i " + std::to_string(value_bytes) + "\r\n" +
         std::string(value_bytes, 'x') + "\r\n";
}

class Writer {
 public:
  Writer(const Peer& peer, std::uint16_t port) : peer_(peer), socket_(connect_to(port)) {
    if (!peer.hello.empty()) receive();
    send_all(peer.hello);
  }

  void run(std::size_t window, Clock::duration lasting) {
    took_.clear();
    for (std::size_t i = 0; i < window; ++i) write(Clock::now());
    const auto began = Clock::now() + warm_up;
    const auto ended = began + lasting;
    for (auto now = Clock::now(); now < ended; now = Clock::now()) {
      send_all(std::exchange(out_, {}));
      const std::size_t answered = receive();
      now = Clock::now();
      for (std::size_t i = 0; i < answered; ++i) {
        if (now >= began) took_.push_back(now - sent_.front());
        sent_.pop_front();
        write(now);
      }
    }
    send_all(std::exchange(out_, {}));
    for (std::size_t left = window; left > 0;) left -= std::min(left, receive());
    sent_.clear();
    print(window, lasting);
  }

 private:
  void write(Clock::time_point now) {
    out_ += peer_.write(next_++ % keys);
    sent_.push_back(now);
  }
  void send_all(std::string_view data) {
    while (!data.empty()) {
      data.remove_prefix(send_some(socket_, data));
      if (data.empty()) return;
      pollfd ready{socket_, POLLOUT, 0};
      poll(&ready, 1, -1);
    }
  }
  // How many answers have ended by it; waits for bytes.
  std::size_t receive() {
    pollfd ready{socket_, POLLIN, 0};
    poll(&ready, 1, -1);
    char buffer[65536];
    const auto size = recv(socket_, buffer, sizeof buffer, 0);
    if (size <= 0) fail("the server has closed the connection");
    const std::string_view data(buffer, static_cast<std::size_t>(size));
    if (data.find("-ERR") != data.npos || data.find("\"error\"") != data.npos) {
      fail("the server refused: " + std::string(data.substr(0, 200)));
    }
    return static_cast<std::size_t>(std::ranges::count(data, peer_.end_of_answer));
  }
  void print(std::size_t window, Clock::duration lasting) {
    if (took_.empty()) fail("nothing was answered");
    std::ranges::sort(took_);
    const auto at = [&](double share) {
      const auto index = share * static_cast<double>(took_.size() - 1);
      return Milliseconds(took_[static_cast<std::size_t>(index)]).count();
    };
    const auto seconds = std::chrono::duration<double>(lasting).count();
    std::printf(
        "{\"window\": %zu, \"writes_per_second\": %.0f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
        window, static_cast<double>(took_.size()) / seconds, at(0.5), at(0.99));
    std::fflush(stdout);
  }

  const Peer& peer_;
  int socket_;
  std::string out_;
  std::deque<Clock::time_point> sent_;
  std::vector<Clock::duration> took_;
  int next_ = 0;
};

}  // namespace
}  // namespace canopy::bench

int main(int argc, char** argv) {
  using namespace canopy::bench;
  const Peer redis{"", '\n', redis_write};
  const Peer nats{"CONNECT {\"verbose\":false}\r\nSUB i 1\r\n", '}', nats_write};
  const std::string_view kind = argc > 4 ? argv[1] : "";
  if (kind != "redis" && kind != "nats") {
    std::fprintf(stderr, "usage: bench-peer-writes redis|nats PORT SECONDS WINDOW…\n");
    return 2;
  }
  Writer writer(kind == "redis" ? redis : nats, static_cast<std::uint16_t>(std::atoi(argv[2])));
  for (int i = 4; i < argc; ++i) {
    writer.run(std::strtoul(argv[i], nullptr, 10), std::chrono::seconds(std::atoi(argv[3])));
  }
  return 0;
}
