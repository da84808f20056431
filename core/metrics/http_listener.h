// The listener of an HTTP port: accepts connections, and passes on only complete requests.
// Runs a thread of its own, which the destructor joins.
//
// civetweb waits for each peer with a thread, so that a few peers that send nothing would block it.
// This listener holds a bounded number of connections. At the bound it closes the connection that
// has waited longest without a complete request. So idle and slow peers do not delay others.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "core/base/result.h"

namespace canopy::metrics {

class HttpListener {
 public:
  // A browser opens six, some of them in advance.
  static constexpr std::size_t max_connections = 16;
  // Timeouts for the arrival of a request, and for the peer's reading of the response.
  static constexpr std::chrono::milliseconds request_patience{1000};
  static constexpr std::chrono::milliseconds answer_patience{10'000};
  static constexpr std::size_t max_request_bytes = std::size_t{16} * 1024;
  static constexpr const char* in_use = "address already in use";

  // Returns the whole response to a request that ends with an empty line; empty: closes the
  // connection. Called on the listener's thread, one request after the other.
  using Answer = std::function<std::string(const std::string& request)>;

  // Listens at HOST:PORT: HOST is `*`, an IPv4 address, or an IPv6 address in brackets; port 0
  // is any free one. The error is `in_use`, or says what is wrong.
  static base::Result<std::unique_ptr<HttpListener>> open(const std::string& address);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // HOST:PORT as bound.
  const std::string& address() const { return address_; }

  // Starts to accept. Call once.
  void serve(Answer answer);

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    int fd = -1;
    Clock::time_point until{};  // closed at this time
    std::string request{};
    std::string response{};
    std::size_t sent = 0;
    bool done = false;  // the response is sent; further input is read and dropped
  };
  using Peers = std::list<Peer>;

  HttpListener() = default;
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
  int wake_ = -1;  // readable when the thread is to end
  Answer answer_{};
  Peers peers_{};  // the oldest first
  Clock::time_point accept_again_{};
  bool ending_ = false;
  std::thread thread_{};
};

}  // namespace canopy::metrics
