// All subscribers of a run: N connections in one thread, the same for every server.
//
//   bench-reader PROTOCOL SUBSCRIBERS SAMPLED PROGRESS-FILE TOPIC-HEX PORT...
//
// Subscriber i connects to the port i modulo their number. SAMPLED subscribers record the age of
// every update. A line `mark` on stdin begins a new measurement, `report` prints it; the program
// answers each with a line of JSON. It ends at the end of stdin.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "loadtest/measure/clock.h"
#include "loadtest/measure/histogram.h"
#include "tests/bench/dialogue.h"
#include "tests/bench/meter.h"
#include "tests/bench/progress.h"
#include "tests/bench/tcp.h"

namespace canopy::bench {
namespace {

constexpr std::size_t connecting_at_once = 32;
constexpr std::int64_t progress_period_us = 100;
constexpr std::uint32_t control = 0xffff'ffff;  // stdin, among the indexes of subscribers

struct Subscriber {
  int socket = -1;
  bool connected = false;
  Opening opening{};
  std::unique_ptr<Meter> meter{};
};

class Reader {
 public:
  Reader(Protocol protocol, std::size_t subscribers, std::size_t sampled, Progress& progress,
         std::string topic, std::vector<std::uint16_t> ports)
      : protocol_(protocol),
        topic_(std::move(topic)),
        ports_(std::move(ports)),
        progress_(progress),
        subscribers_(subscribers),
        counts_(subscribers),
        base_(subscribers),
        buffer_(256 * 1024),
        poll_(epoll_create1(EPOLL_CLOEXEC)) {
    std::vector<bool> is_sampled(subscribers);
    for (std::size_t i = 0; i < std::min(sampled, subscribers); ++i) {
      // Spread evenly over the subscribers and the ports.
      is_sampled[(i * (subscribers / sampled) + i % ports_.size()) % subscribers] = true;
    }
    for (std::size_t i = 0; i < subscribers; ++i) {
      subscribers_[i].meter = make_meter(protocol, is_sampled[i] ? &ages_ : nullptr);
    }
    watch(STDIN_FILENO, control, EPOLLIN);
  }

  void run() {
    std::array<epoll_event, 1024> events{};
    while (!ended_) {
      for (; next_ < subscribers_.size() && connecting_ < connecting_at_once; ++next_) {
        connect(static_cast<std::uint32_t>(next_));
      }
      const int count = epoll_wait(poll_, events.data(), events.size(), dirty_ ? 1 : -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      const std::int64_t now = measure::now_us();
      for (int i = 0; i < count; ++i) on_event(events[static_cast<std::size_t>(i)], now);
      if (dirty_ && (count <= 0 || now - published_us_ >= progress_period_us))
        publish_progress(now);
    }
  }

 private:
  void watch(int file, std::uint32_t index, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.u32 = index;
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, file, &event) < 0) fail("epoll_ctl");
  }

  void connect(std::uint32_t index) {
    Subscriber& subscriber = subscribers_[index];
    subscriber.socket = connect_to(ports_[index % ports_.size()]);
    watch(subscriber.socket, index, EPOLLOUT);
    ++connecting_;
  }

  void on_event(const epoll_event& event, std::int64_t now) {
    if (event.data.u32 == control) return on_command();
    Subscriber& subscriber = subscribers_[event.data.u32];
    if (!subscriber.connected) return on_connected(subscriber, event.data.u32);
    const ssize_t received = recv(subscriber.socket, buffer_.data(), buffer_.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received <= 0) return on_closed(subscriber);
    std::string_view data(buffer_.data(), static_cast<std::size_t>(received));
    if (!subscriber.opening.done()) {
      send_to(subscriber, subscriber.opening.on_data(data));
      if (!subscriber.opening.done()) return;
      on_subscribed();
      data = subscriber.opening.rest();
    }
    on_updates(subscriber, event.data.u32, data, now);
  }

  void on_connected(Subscriber& subscriber, std::uint32_t index) {
    subscriber.connected = true;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = index;
    if (epoll_ctl(poll_, EPOLL_CTL_MOD, subscriber.socket, &event) < 0) fail("epoll_ctl");
    subscriber.opening = subscriber_opening(protocol_, index, topic_);
    send_to(subscriber, subscriber.opening.begin());
    if (subscriber.opening.done()) on_subscribed();
  }

  void send_to(Subscriber& subscriber, const std::string& text) {
    if (send_some(subscriber.socket, text) != text.size()) fail("send");
  }

  void on_subscribed() {
    --connecting_;
    progress_.subscribed.fetch_add(1, std::memory_order_relaxed);
  }

  void on_closed(Subscriber& subscriber) {
    if (!subscriber.opening.done()) fail("the server has refused the connection");
    close(subscriber.socket);
    subscriber.socket = -1;
    progress_.closed.fetch_add(1, std::memory_order_relaxed);
  }

  void on_updates(Subscriber& subscriber, std::uint32_t index, std::string_view data,
                  std::int64_t now) {
    const std::uint64_t updates = subscriber.meter->feed(data, now);
    if (!subscriber.meter->sane()) fail("the server has sent an invalid message");
    for (int i = subscriber.meter->new_pings(); i > 0; --i) {
      send_some(subscriber.socket, nats_pong);
    }
    if (updates > 0 && counts_[index] == 0) {
      progress_.reached.fetch_add(1, std::memory_order_relaxed);
    }
    counts_[index] += updates;
    delivered_ += updates;
    bytes_ += data.size();
    dirty_ = true;
  }

  void publish_progress(std::int64_t now) {
    std::uint64_t slowest = ~std::uint64_t{0};
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      slowest = std::min(slowest, counts_[i] - base_[i]);
    }
    progress_.delivered.store(delivered_, std::memory_order_relaxed);
    progress_.bytes.store(bytes_, std::memory_order_relaxed);
    progress_.slowest.store(slowest, std::memory_order_release);
    published_us_ = now;
    dirty_ = false;
  }

  void on_command() {
    std::array<char, 64> line{};
    const ssize_t got = read(STDIN_FILENO, line.data(), line.size() - 1);
    if (got <= 0) {
      ended_ = true;
    } else if (std::string_view(line.data(), static_cast<std::size_t>(got)) == "mark\n") {
      mark();
    } else {
      report();
    }
  }

  std::uint64_t skipped() const {
    std::uint64_t all = 0;
    for (const auto& subscriber : subscribers_) all += subscriber.meter->skipped();
    return all;
  }

  void mark() {
    base_ = counts_;
    delivered_ = bytes_ = 0;
    ages_ = {};
    skipped_before_ = skipped();
    publish_progress(measure::now_us());
    std::puts("{}");
    std::fflush(stdout);
  }

  void report() {
    publish_progress(measure::now_us());
    std::printf(
        "{\"samples\": %llu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"skipped\": "
        "%llu}\n",
        static_cast<unsigned long long>(ages_.count()), ages_.percentile(0.5),
        ages_.percentile(0.99), ages_.percentile(1),
        static_cast<unsigned long long>(skipped() - skipped_before_));
    std::fflush(stdout);
  }

  Protocol protocol_;
  std::string topic_;
  std::vector<std::uint16_t> ports_;
  Progress& progress_;
  measure::Histogram ages_{};
  std::vector<Subscriber> subscribers_;
  std::vector<std::uint64_t> counts_;  // updates since the start, by subscriber
  std::vector<std::uint64_t> base_;    // the same at the last mark
  std::vector<char> buffer_;
  int poll_;
  std::size_t next_ = 0, connecting_ = 0;
  std::uint64_t delivered_ = 0, bytes_ = 0, skipped_before_ = 0;
  std::int64_t published_us_ = 0;
  bool dirty_ = false, ended_ = false;
};

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

int main_of(const std::vector<std::string>& arguments) {
  if (arguments.size() < 6) fail("wrong command line");
  const auto protocol = parse_protocol(arguments[0]);
  Progress* progress = map_progress(arguments[3]);
  if (!protocol || progress == nullptr) fail("wrong command line");
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 5; i < arguments.size(); ++i) {
    ports.push_back(static_cast<std::uint16_t>(std::stoul(arguments[i])));
  }
  Reader(*protocol, std::stoul(arguments[1]), std::stoul(arguments[2]), *progress,
         from_hex(arguments[4]), ports)
      .run();
  return 0;
}

}  // namespace
}  // namespace canopy::bench

int main(int argc, char** argv) { return canopy::bench::main_of({argv + 1, argv + argc}); }
