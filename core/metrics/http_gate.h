// The listening side of an HTTP port: accepts connections, and hands on a request only when it has
// arrived whole. civetweb waits for each peer with a thread, so that a few silent ones would keep
// it from everybody else.
//
// One thread of its own, and a bounded number of connections: when one more comes, the one that has
// waited longest without a whole request is closed. So peers that send nothing, or a byte a second,
// cost others nothing, and no descriptors beyond the bound.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "core/base/result.h"

namespace canopy::metrics {

class HttpGate {
 public:
  // Connections at most. A browser opens six, some of them in advance.
  static constexpr std::size_t max_connections = 16;
  // A request has to arrive within this time, and its answer to be taken within the other.
  static constexpr std::chrono::milliseconds request_patience{1000};
  static constexpr std::chrono::milliseconds answer_patience{10'000};
  static constexpr std::size_t max_request_bytes = std::size_t{16} * 1024;
  static constexpr const char* in_use = "address already in use";

  // The whole response to a request that ends with an empty line; empty: the connection is closed.
  // Called on the thread of the gate, for one request after the other.
  using Answer = std::function<std::string(const std::string& request)>;

  // Listens at HOST:PORT: HOST is `*`, an IPv4 address, or an IPv6 address in brackets; port 0
  // takes any free one. The error is `in_use`, or says what is wrong.
  static base::Result<std::unique_ptr<HttpGate>> open(const std::string& address);
  ~HttpGate();
  HttpGate(const HttpGate&) = delete;
  HttpGate& operator=(const HttpGate&) = delete;

  // HOST:PORT as bound.
  const std::string& address() const { return address_; }

  // Starts to accept. Once.
  void serve(Answer answer);

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    int fd = -1;
    Clock::time_point until{};  // then it is closed
    std::string request{};
    std::string response{};
    std::size_t sent = 0;
    bool done = false;  // all is sent: the rest of what it sends is read and dropped
  };
  using Peers = std::list<Peer>;

  HttpGate() = default;
  void run();
  void wait();
  void accept_all();
  void make_place();
  bool advance(Peer& peer);
  bool read(Peer& peer);
  bool write(Peer& peer);
  void close_late();

  std::string address_{};
  int listener_ = -1;
  int wake_ = -1;  // readable when the gate is to end
  Answer answer_{};
  Peers peers_{};  // the oldest first
  Clock::time_point accept_again_{};
  bool ending_ = false;
  std::thread thread_{};
};

}  // namespace canopy::metrics
