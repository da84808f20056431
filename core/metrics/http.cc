#include "core/metrics/http.h"

#include <CivetServer.h>

#include <array>
#include <atomic>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/host.h"
#include "core/metrics/http_get.h"
#include "core/metrics/http_listener.h"

namespace canopy::metrics {
namespace {

using json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds retry_pause{50};
constexpr milliseconds knock_pause{5};
constexpr milliseconds exchange_patience{5000};
constexpr const char* json_type = "application/json";
constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";

const char* status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Service Unavailable";
  }
}

int send(mg_connection* connection, const HttpDocument& response, bool with_body) {
  std::string message = "HTTP/1.1 " + std::to_string(response.status) + " " +
                        status_text(response.status) +
                        "\r\nContent-Type: " + response.content_type +
                        "\r\nContent-Length: " + std::to_string(response.body.size()) +
                        "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"
                        "\r\nConnection: close\r\n" +
                        response.headers;
  if (response.status == 405) message += "Allow: GET, HEAD\r\n";
  message += "\r\n";
  if (with_body) message += response.body;
  mg_write(connection, message.data(), message.size());
  return response.status;
}

// civetweb's messages on this thread: it reports the reason of a failed start only in its log.
thread_local std::string complaints;

int keep_complaint(const mg_connection*, const char* message) {
  complaints += (complaints.empty() ? "" : "; ") + std::string(message);
  return 1;
}

base::Result<std::string> listening_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return base::Error{"not HOST:PORT"};
  auto host = base::listening_host(address.substr(0, colon));
  if (!host) return host;
  return *host + address.substr(colon);
}

// civetweb listens here; only HttpListener connects to it.
constexpr const char* loopback = "127.0.0.1";

}  // namespace

struct HttpServer::Impl {
  Impl(Registry& its_registry, milliseconds its_stall) : registry(its_registry), stall(its_stall) {}
  ~Impl();

  base::Status start();
  static int serve(mg_connection* connection);
  HttpDocument respond(const std::string& path);
  HttpDocument livez() const;
  HttpDocument readyz();
  HttpDocument not_found(const std::string& path);
  json paths();

  Registry& registry;
  const milliseconds stall;
  std::atomic<steady_clock::time_point> last_beat = steady_clock::now();
  std::mutex mutex;  // guards what follows
  Checks checks = {{"start", "no check has run yet"}};
  std::map<std::string, HttpDocument> documents;
  std::map<std::string, Make> makers;
  std::string address;
  std::unique_ptr<CivetServer> server;     // its threads use the members above
  std::unique_ptr<HttpListener> listener;  // last: its thread uses the server
};

// civetweb's accepting thread checks for the stop every two seconds, or at a new connection.
HttpServer::Impl::~Impl() {
  listener.reset();
  if (!server) return;
  const int port = server->getListeningPorts().at(0);
  const auto closed = std::async(std::launch::async, [this] { server->close(); });
  while (closed.wait_for(knock_pause) != std::future_status::ready) {
    std::array<char, 128> ignored{};
    mg_connection* knock = mg_connect_client(loopback, port, 0, ignored.data(), ignored.size());
    if (knock != nullptr) mg_close_connection(knock);
  }
}

base::Status HttpServer::Impl::start() {
  const std::vector<std::string> options = {"listening_ports",    std::string(loopback) + ":0",
                                            "num_threads",        "2",
                                            "request_timeout_ms", "1000",
                                            "enable_keep_alive",  "no"};
  CivetCallbacks callbacks;
  callbacks.begin_request = &Impl::serve;
  callbacks.log_message = keep_complaint;
  complaints.clear();
  try {
    server = std::make_unique<CivetServer>(options, &callbacks, this);
  } catch (const CivetException& fault) {
    return base::Error{complaints.empty() ? fault.what() : complaints};
  }
  address = listener->address();
  const std::string inside =
      std::string(loopback) + ":" + std::to_string(server->getListeningPorts().at(0));
  listener->serve([inside](const std::string& request) {
    auto response = http_exchange(inside, request, exchange_patience);
    return response ? std::move(*response) : std::string();
  });
  return {};
}

int HttpServer::Impl::serve(mg_connection* connection) {
  const auto* server =
      static_cast<const CivetServer*>(mg_get_user_data(mg_get_context(connection)));
  auto* self = static_cast<Impl*>(const_cast<void*>(server->getUserContext()));
  const mg_request_info* request = mg_get_request_info(connection);
  const std::string method = request->request_method;
  if (method != "GET" && method != "HEAD") {
    return send(connection, {405, json_type, R"({"error":"only GET and HEAD"})"}, true);
  }
  return send(connection, self->respond(request->local_uri), method == "GET");
}

HttpDocument HttpServer::Impl::respond(const std::string& path) {
  if (path == "/metrics") return {200, metrics_type, registry.expose()};
  if (path == "/livez") return livez();
  if (path == "/readyz") return readyz();
  Make make;
  std::string rest;
  {
    const std::lock_guard lock(mutex);
    const auto document = documents.find(path);
    if (document != documents.end()) return document->second;
    const auto slash = path.find_last_of('/');
    auto maker = makers.find(path);
    if (maker == makers.end()) maker = makers.find(path.substr(0, slash + 1));
    if (maker != makers.end()) {
      make = maker->second;
      rest = path.substr(maker->first.size());
    }
  }
  if (make) return make(rest);
  if (path == "/") return {200, json_type, json{{"paths", paths()}}.dump()};
  return not_found(path);
}

HttpDocument HttpServer::Impl::livez() const {
  const auto since_beat =
      std::chrono::duration_cast<milliseconds>(steady_clock::now() - last_beat.load());
  if (since_beat <= stall) return {200, json_type, R"({"live":true})"};
  return {503, json_type, json{{"live", false}, {"silent_ms", since_beat.count()}}.dump()};
}

HttpDocument HttpServer::Impl::readyz() {
  json failing = json::object();
  {
    const std::lock_guard lock(mutex);
    for (const auto& [name, why] : checks) {
      if (!why.empty()) failing[name] = why;
    }
  }
  if (failing.empty()) return {200, json_type, R"({"ready":true})"};
  return {503, json_type, json{{"ready", false}, {"failing", std::move(failing)}}.dump()};
}

HttpDocument HttpServer::Impl::not_found(const std::string& path) {
  const json body = {{"error", "nothing at " + path}, {"paths", paths()}};
  return {404, json_type, body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

json HttpServer::Impl::paths() {
  const std::lock_guard lock(mutex);
  json all = {"/livez", "/metrics", "/readyz"};
  for (const auto& [path, document] : documents) all.push_back(path);
  for (const auto& [path, make] : makers) all.push_back(path);
  return all;
}

HttpDocument http_error(int status, const std::string& why) {
  return {.status = status,
          .body = json{{"error", why}}.dump(-1, ' ', false, json::error_handler_t::replace)};
}

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() = default;

base::Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address,
                                                            Registry& registry, milliseconds stall,
                                                            milliseconds patience) {
  const auto bound = listening_address(address);
  if (!bound) return base::Error{"http " + address + ": " + bound.error()};
  const auto deadline = steady_clock::now() + patience;
  auto listener = HttpListener::open(*bound);
  while (!listener && listener.error() == HttpListener::in_use && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(retry_pause);
    listener = HttpListener::open(*bound);
  }
  if (!listener) return base::Error{"http " + address + ": " + listener.error()};
  std::unique_ptr<HttpServer> self(new HttpServer);
  self->impl_ = std::make_unique<Impl>(registry, stall);
  self->impl_->listener = std::move(*listener);
  if (auto status = self->impl_->start(); !status) {
    return base::Error{"http " + address + ": " + status.error()};
  }
  return self;
}

std::string HttpServer::address() const { return impl_->address; }

void HttpServer::beat() { impl_->last_beat = steady_clock::now(); }

void HttpServer::set_ready(const Checks& checks) {
  const std::lock_guard lock(impl_->mutex);
  impl_->checks = checks;
}

void HttpServer::publish(const std::string& path, std::string body, const std::string& content_type,
                         const std::string& headers) {
  const std::lock_guard lock(impl_->mutex);
  impl_->documents[path] = {200, content_type, std::move(body), headers};
}

void HttpServer::serve(const std::string& path, Make make) {
  const std::lock_guard lock(impl_->mutex);
  impl_->makers[path] = std::move(make);
}

}  // namespace canopy::metrics
