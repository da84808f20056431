// The HTTP port of a process: /metrics, /livez, /readyz and whatever documents it publishes.
//
// The loop publishes; civetweb serves what was last published, or asks for a document when it is
// wanted, behind a gate that hands on whole requests only (core/metrics/http_gate.h). Thread-safe.
// Only GET and HEAD; `/` lists the paths unless a document is there, and so does the 404 of an
// unknown one. A peer that sends no request is dropped after a second, or before when others come.
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

// What is answered: a JSON document if nothing else is said.
struct HttpDocument {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::string headers{};  // further ones, each with its CRLF
};
// {"error": why} with this status.
HttpDocument http_error(int status, const std::string& why);

class HttpServer {
 public:
  // `address` is HOST:PORT; port 0 takes any free one. `stall` is how long the loop may go without
  // a beat before /livez answers 503. An address in use is tried again for `patience`: a process
  // that has just died may still hold it.
  static base::Result<std::unique_ptr<HttpServer>> start(
      const std::string& address, Registry& registry,
      std::chrono::milliseconds stall = std::chrono::seconds(10),
      std::chrono::milliseconds patience = {});
  ~HttpServer();

  // HOST:PORT as bound.
  std::string address() const;

  // Called by the loop, at least once a second: /livez answers 200 while beats arrive.
  void beat();
  // /readyz answers 200 with {"ready":true} while every check passes, else 503 with
  // {"ready":false,"failing":{name: why}}.
  void set_ready(const Checks& checks);
  // Serves `body` at `path` until published anew. `headers`: further ones, each with its CRLF.
  void publish(const std::string& path, std::string body,
               const std::string& content_type = "application/json",
               const std::string& headers = {});
  // Answers `path` with what `make` returns for "", or, when `path` ends with '/', whatever
  // follows it up to a further '/', for that. Called on a thread of the server, one call at a time,
  // which other requests wait for: it should be over within a second or two.
  using Make = std::function<HttpDocument(const std::string& rest)>;
  void serve(const std::string& path, Make make);

 private:
  HttpServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace canopy::metrics
