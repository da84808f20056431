// HTTP/1.1 POST requests on an event loop, by libcurl. libcurl's thread looks up host names; there
// is no other. https:// addresses are verified against the certificate authority. The client sends
// no request twice, because the server may have carried out an unanswered one.
//
// Belongs to its loop. Callbacks run from the loop, never from within a call; they may call the
// client and must not destroy it.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/net/loop.h"

namespace canopy::coordination {

class HttpClient {
 public:
  struct Tls {
    std::string ca_file{};  // empty: what the system trusts
    std::string cert_file{}, key_file{};
  };
  struct Request {
    std::string url{};
    std::vector<std::string> headers{};
    std::string body{};
    base::Duration connect_timeout{};
    base::Duration timeout{};  // zero: none
  };
  struct Answer {
    long status = 0;       // of HTTP; 0: there was no answer
    std::string text{};    // the body; without an answer, the reason
    bool refused = false;  // by TLS: a certificate, a key or the authority is wrong
  };
  using Id = std::uint64_t;  // never 0
  using Done = std::function<void(const Answer&)>;
  using Arrived = std::function<void(std::string_view bytes)>;

  // A longer body counts as no answer.
  static constexpr std::size_t max_body_bytes = std::size_t{16} << 20;

  HttpClient(net::Loop& loop, const Tls& tls);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Id post(const Request& request, Done done);
  // If the status is 200, calls `arrived` with each piece of the body as it arrives. Then, or after
  // any other status, calls `done` with the rest of the body.
  Id stream(const Request& request, Arrived arrived, Done done);
  // No callback follows.
  void cancel(Id id);
  // Waits for the answer, up to the request's timeout.
  Answer post_now(const Request& request) const;

 private:
  struct Transfer;
  struct Watched;

  Id start(const Request& request, Arrived arrived, Done done);
  static Answer answer_of(Transfer& transfer, CURLcode code);
  void act(curl_socket_t socket, int events);
  void hand_over();
  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self, void* watched);
  static int on_timer(CURLM* multi, long timeout_ms, void* self);

  net::Loop& loop_;
  const Tls tls_;
  CURLM* multi_;
  net::Loop::TimerId timer_ = 0;
  std::map<curl_socket_t, std::unique_ptr<Watched>> watched_;
  std::map<Id, std::unique_ptr<Transfer>> transfers_;
  Id last_id_ = 0;
};

}  // namespace canopy::coordination
