// Measures one client's acknowledged writes to another server, as writes.cc measures Canopy's: rate
// and latency with a fixed number in flight. Prints one JSON object for each window.
//
//   bench-peer-writes redis|nats PORT SECONDS WINDOW…
//
// Answers arrive in the order of the requests. For nats, a stream "S" stores the messages on "w.*",
// as a key-value bucket does.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "loadtest/measure/clock.h"
#include "loadtest/measure/histogram.h"
#include "tests/bench/tcp.h"

namespace canopy::bench {
namespace {

using measure::now_us;

constexpr int keys = 1000;
constexpr std::size_t value_bytes = 100;
constexpr std::int64_t warm_up_us = 500'000;

struct Peer {
  std::string handshake;  // sent after the server's; empty: neither sends any
  char end_of_answer;     // occurs once in each answer
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
    if (!peer.handshake.empty()) receive();
    send_all(peer.handshake);
  }

  void run(std::size_t window, std::int64_t lasting_us) {
    took_ = {};
    for (std::size_t i = 0; i < window; ++i) write(now_us());
    const auto began = now_us() + warm_up_us;
    const auto ended = began + lasting_us;
    for (auto now = now_us(); now < ended; now = now_us()) {
      send_all(std::exchange(out_, {}));
      const std::size_t answered = receive();
      now = now_us();
      for (std::size_t i = 0; i < answered; ++i) {
        if (now >= began) took_.record(now - sent_.front());
        sent_.pop_front();
        write(now);
      }
    }
    send_all(std::exchange(out_, {}));
    for (std::size_t left = window; left > 0;) left -= std::min(left, receive());
    sent_.clear();
    print(window, lasting_us);
  }

 private:
  void write(std::int64_t now) {
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
  // Waits for bytes; returns how many answers they end.
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
  void print(std::size_t window, std::int64_t lasting_us) {
    if (took_.count() == 0) fail("the server has not answered any write");
    const double seconds = static_cast<double>(lasting_us) / measure::second_us;
    std::printf(
        "{\"window\": %zu, \"writes_per_second\": %.0f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
        window, static_cast<double>(took_.count()) / seconds, took_.percentile(0.5),
        took_.percentile(0.99));
    std::fflush(stdout);
  }

  const Peer& peer_;
  int socket_;
  std::string out_;
  std::deque<std::int64_t> sent_;
  measure::Histogram took_;
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
    writer.run(std::strtoul(argv[i], nullptr, 10), std::atoi(argv[3]) * canopy::measure::second_us);
  }
  return 0;
}
