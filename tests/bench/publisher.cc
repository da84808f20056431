// The one publisher of a run. Its cost is not measured.
//
//   bench-publisher PROTOCOL ZMQ-SOCKET MODE CLIENTS SECONDS BODIES PROGRESS-FILE PORT...
//
// MODE is
//   warm      one update every 20 ms, until every subscriber has received one
//   spread    each client one update a second, evenly over the second
//   together  each client one update a second, all at the same instant
//   flood:W   as fast as possible, with at most W updates in flight to the slowest subscriber
// BODIES: random, or alike (states of many workers that differ in some digits).
// Client i publishes through the port i modulo their number.
// Prints a line of JSON at the end.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "loadtest/measure/clock.h"
#include "loadtest/measure/stamp.h"
#include "tests/bench/dialogue.h"
#include "tests/bench/progress.h"
#include "tests/bench/tcp.h"

namespace canopy::bench {
namespace {

using measure::now_ns;
using measure::second_ns;

constexpr int answer_ms = 5000;                       // of a server to a new connection
constexpr std::int64_t deadline_ns = 30 * second_ns;  // of warming up
constexpr std::int64_t stall_ns = 2 * second_ns;      // of a flood
constexpr std::int64_t last_wait_ns = 5 * second_ns;  // for the last deliveries
constexpr std::uint64_t burst = 64;                   // updates of a flood written at once
constexpr std::int64_t poll_ns = 50'000;              // how often a flood with a full window polls

void sleep_until(std::int64_t at_ns) {
  timespec at{};
  at.tv_sec = static_cast<time_t>(at_ns / second_ns);
  at.tv_nsec = static_cast<long>(at_ns % second_ns);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

class Connection {
 public:
  Connection(Protocol protocol, std::string_view zmq_socket, std::uint16_t port)
      : protocol_(protocol), socket_(connect_to(port)) {
    pollfd writable{socket_, POLLOUT, 0};
    poll(&writable, 1, -1);
    Opening opening = publisher_opening(protocol, zmq_socket);
    for (std::string next = opening.begin();; next = opening.on_data(receive(answer_ms))) {
      if (send_some(socket_, next) != next.size()) fail("send");
      if (opening.done()) break;
    }
  }

  void add(std::string_view bytes) { pending_.append(bytes); }

  // Returns when the kernel has accepted everything.
  void flush() {
    receive(0);
    for (std::size_t done = 0; done < pending_.size();) {
      const std::size_t sent = send_some(socket_, std::string_view(pending_).substr(done));
      done += sent;
      if (sent > 0) continue;
      pollfd both{socket_, POLLIN | POLLOUT, 0};
      poll(&both, 1, -1);
      if ((both.revents & POLLIN) != 0) receive(0);
    }
    pending_.clear();
    if (asked_ > 0) {
      for (; asked_ > 0; --asked_) pending_.append(nats_pong);
      flush();
    }
  }

 private:
  std::string receive(int timeout_ms) {
    pollfd readable{socket_, POLLIN, 0};
    if (timeout_ms != 0 && poll(&readable, 1, timeout_ms) <= 0) fail("no answer");
    std::array<char, 65536> buffer;
    std::string all;
    for (;;) {
      const ssize_t got = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0) fail("closed by the server");
      if (got < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
      if (got < 0) break;
      all.append(buffer.data(), static_cast<std::size_t>(got));
    }
    if (protocol_ == Protocol::nats && all.find(nats_ping) != std::string::npos) ++asked_;
    return all;
  }

  Protocol protocol_;
  int socket_;
  int asked_ = 0;
  std::string pending_{};
};

// Bodies are consecutive parts of a pool, so that each costs one copy.
class Bodies {
 public:
  explicit Bodies(bool random) {
    std::mt19937_64 generator(7);
    while (pool_.size() < pool_bytes) {
      if (random) {
        pool_ += static_cast<char>(generator());
        continue;
      }
      // States of many workers differ in a few digits.
      std::array<char, 128> text{};
      std::snprintf(
          text.data(), text.size(),
          R"({"state":"running","host":"worker-%04u","load":0.%02u,"jobs":[],"errors":0,%s)",
          static_cast<unsigned>(generator() % 1000), static_cast<unsigned>(generator() % 100),
          R"("note":"none at all"})");
      pool_.append(text.data(), filling_bytes);
    }
  }

  void write(char* body, std::size_t client, std::int64_t due_ns) {
    at_ = at_ + 2 * filling_bytes <= pool_.size() ? at_ + filling_bytes : 0;
    measure::write_stamp(body, {.run = bench_run,
                                .publisher = static_cast<std::uint32_t>(client),
                                .sent_us = due_ns / 1000});
    std::memcpy(body + measure::stamp_bytes, &pool_[at_], filling_bytes);
  }

 private:
  static constexpr std::size_t pool_bytes = 1 << 20;
  static constexpr std::size_t filling_bytes = body_bytes - measure::stamp_bytes;
  std::string pool_{};
  std::size_t at_ = 0;
};

class Publisher {
 public:
  Publisher(Protocol protocol, const std::string& zmq_socket, std::uint32_t clients,
            bool random_bodies, Progress& progress, const std::vector<std::uint16_t>& ports)
      : bodies_(random_bodies), progress_(progress) {
    progress_.sent.store(0);
    for (const std::uint16_t port : ports) connections_.emplace_back(protocol, zmq_socket, port);
    for (std::uint32_t i = 0; i < clients; ++i) records_.push_back(published(protocol, key_of(i)));
  }

  void warm() {
    const std::int64_t deadline = now_ns() + deadline_ns;
    while (progress_.reached.load() < records_.size() && now_ns() < deadline) {
      add(sent_ % records_.size(), now_ns());
      flush();
      sleep_until(now_ns() + second_ns / 50);
    }
    complete_ = progress_.reached.load() >= records_.size();
  }

  void paced(std::int64_t seconds, bool spread) {
    const std::int64_t start = now_ns() + second_ns / 50;
    const auto clients = static_cast<std::int64_t>(records_.size());
    for (std::int64_t next = 0; next < seconds * clients;) {
      const auto due = [&](std::int64_t update) {
        const std::int64_t phase = spread ? update % clients * second_ns / clients : 0;
        return start + update / clients * second_ns + phase;
      };
      sleep_until(due(next));
      for (const std::int64_t now = now_ns(); next < seconds * clients && due(next) <= now;
           ++next) {
        latest_ns_ = std::max(latest_ns_, now - due(next));
        add(static_cast<std::size_t>(next % clients), due(next));
      }
      flush();
    }
    sleep_until(start + seconds * second_ns);
  }

  void flood(std::int64_t seconds, std::uint64_t window) {
    const std::int64_t end = now_ns() + seconds * second_ns;
    std::uint64_t seen = 0;
    std::int64_t moved = now_ns();
    for (std::int64_t now = moved; now < end; now = now_ns()) {
      const std::uint64_t slowest = progress_.slowest.load(std::memory_order_acquire);
      if (slowest != seen) {
        seen = slowest;
        moved = now;
      }
      const std::uint64_t free = window - std::min(window, sent_ - std::min(sent_, slowest));
      if (free == 0) {
        complete_ = now - moved < stall_ns;
        if (!complete_) return;
        sleep_until(now + poll_ns);
        continue;
      }
      for (std::uint64_t i = std::min(free, burst); i > 0; --i) add(sent_ % records_.size(), now);
      flush();
    }
  }

  // A server may discard unread data when its client disconnects.
  void await_deliveries() {
    const std::int64_t deadline = now_ns() + last_wait_ns;
    while (progress_.slowest.load(std::memory_order_acquire) < sent_ && now_ns() < deadline) {
      flush();
      sleep_until(now_ns() + second_ns / 1000);
    }
  }

  void report() const {
    std::printf("{\"sent\": %llu, \"complete\": %s, \"latest_ms\": %.3f}\n",
                static_cast<unsigned long long>(sent_), complete_ ? "true" : "false",
                static_cast<double>(latest_ns_) / 1e6);
  }

 private:
  void add(std::size_t client, std::int64_t due_ns) {
    Record& record = records_[client];
    bodies_.write(&record.bytes[record.body], client, due_ns);
    connections_[client % connections_.size()].add(record.bytes);
    ++sent_;
  }

  void flush() {
    progress_.sent.store(sent_, std::memory_order_relaxed);
    for (auto& connection : connections_) connection.flush();
  }

  Bodies bodies_;
  Progress& progress_;
  std::vector<Connection> connections_{};
  std::vector<Record> records_{};
  std::uint64_t sent_ = 0;
  std::int64_t latest_ns_ = 0;  // greatest delay of an update's departure
  bool complete_ = true;
};

int main_of(const std::vector<std::string>& arguments) {
  if (arguments.size() < 8) fail("wrong command line");
  const auto protocol = parse_protocol(arguments[0]);
  const std::string& mode = arguments[2];
  const auto clients = static_cast<std::uint32_t>(std::stoul(arguments[3]));
  const std::int64_t seconds = std::stol(arguments[4]);
  Progress* progress = map_progress(arguments[6]);
  if (!protocol || progress == nullptr || clients == 0) fail("wrong command line");
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 7; i < arguments.size(); ++i) {
    ports.push_back(static_cast<std::uint16_t>(std::stoul(arguments[i])));
  }
  prctl(PR_SET_TIMERSLACK, 1);
  Publisher publisher(*protocol, arguments[1], clients, arguments[5] == "random", *progress, ports);
  if (mode == "warm") {
    publisher.warm();
  } else if (mode.starts_with("flood:")) {
    publisher.flood(seconds, std::stoul(mode.substr(6)));
  } else {
    publisher.paced(seconds, mode == "spread");
  }
  if (mode != "warm") publisher.await_deliveries();
  publisher.report();
  return 0;
}

}  // namespace
}  // namespace canopy::bench

int main(int argc, char** argv) { return canopy::bench::main_of({argv + 1, argv + argc}); }
