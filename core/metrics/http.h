// The HTTP port of a process: /metrics, /livez, /readyz and the documents that it publishes.
// Thread-safe.
//
// The loop publishes documents; civetweb serves the last published ones, or calls a maker for each
// request. HttpListener passes only complete requests to civetweb (core/metrics/http_listener.h).
// Only GET and HEAD. `/`, unless a document is published there, and the 404 of an unknown path list
// the paths. A peer that sends no request is disconnected after a second, or earlier at the
// connection bound.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/metrics/registry.h"

namespace canopy::metrics {

// Name of a check -> empty when it passes, else why it fails.
using Checks = std::map<std::string, std::string>;

// A response; JSON by default.
struct HttpDocument {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::string headers{};  // further headers, each with its CRLF
};
// {"error": why} with this status.
HttpDocument http_error(int status, const std::string& why);

class HttpServer {
 public:
  // `address` is HOST:PORT; port 0 is any free one. `stall` is how long the loop may go without a
  // beat before /livez answers 503. An address in use is retried for `patience`, because a process
  // that has just died may still hold it.
  static base::Result<std::unique_ptr<HttpServer>> start(
      const std::string& address, Registry& registry,
      std::chrono::milliseconds stall = std::chrono::seconds(10),
      std::chrono::milliseconds patience = {});
  ~HttpServer();

  // HOST:PORT as bound.
  std::string address() const;

  // The loop calls this at least once a second: /livez answers 200 while beats arrive.
  void beat();
  // /readyz answers 200 with {"ready":true} while every check passes, else 503 with
  // {"ready":false,"failing":{name: why}}.
  void set_ready(const Checks& checks);
  // Serves `body` at `path` until the next publish(). `headers`: further ones, each with its CRLF.
  void publish(const std::string& path, std::string body,
               const std::string& content_type = "application/json",
               const std::string& headers = {});
  // Answers `path` with make(""). If `path` ends with '/', answers `path` + REST with make(REST),
  // where REST has no '/'. `make` is called on a thread of the server, one call at a time; other
  // requests wait, so it should return within a second or two.
  using Make = std::function<HttpDocument(const std::string& rest)>;
  void serve(const std::string& path, Make make);

 private:
  HttpServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace canopy::metrics
