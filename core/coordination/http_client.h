// HTTP/1.1 POST requests on an event loop, by libcurl: no thread but libcurl's own, which looks up
// host names. https:// addresses are verified against the certificate authority. No request is sent
// twice: of one without an answer it is not known whether it was carried out.
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
    std::string text{};    // its body; without an answer, why
    bool refused = false;  // by TLS: a certificate, a key or the authority is not right
  };
  using Id = std::uint64_t;  // never 0
  using Done = std::function<void(const Answer&)>;
  using Arrived = std::function<void(std::string_view bytes)>;

  // A body that is longer than this is no answer.
  static constexpr std::size_t max_body_bytes = std::size_t{16} << 20;

  HttpClient(net::Loop& loop, const Tls& tls);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Id post(const Request& request, Done done);
  // Calls `arrived` with the body as it comes, in pieces, if the status is 200. Then, as of any
  // other status, `done` with what has not been handed over.
  Id stream(const Request& request, Arrived arrived, Done done);
  // Nothing is called back any more.
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
