#include "core/coordination/etcd_gateway.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>
#include <vector>

namespace canopy::coordination::etcd {
namespace {

// Pauses double from the first to the longest, or to a quarter of the lease, which is renewed each
// third. Each is cut by up to a half at random, so that the processes of a cluster do not all come
// back at once.
constexpr base::Duration first_pause = std::chrono::milliseconds(100);
constexpr base::Duration longest_pause = std::chrono::seconds(2);
constexpr unsigned most_doublings = 5;
constexpr base::Duration next_endpoint_pause = std::chrono::milliseconds(10);
constexpr std::size_t max_password_bytes = 4096;

base::Result<std::string> read_password(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, max_password_bytes> bytes{};
  file.read(bytes.data(), bytes.size());
  std::string password(bytes.data(), static_cast<std::size_t>(file.gcount()));
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  if (password.empty()) return base::Error{"no password in " + path};
  return password;
}

// The failures that the caller handles.
bool is_answer(const Failure& failure) {
  const auto says = [&](std::string_view words) {
    return failure.text.find(words) != std::string::npos;
  };
  return failure.code == Code::not_found || failure.code == Code::out_of_range ||
         (failure.code == Code::invalid && says("too large")) ||
         (failure.code == Code::exhausted && says("larger than max"));
}

bool is_about_token(const Failure& failure) {
  return failure.code == Code::unauthenticated ||
         failure.text.find("revision of auth store is old") != std::string::npos;
}

}  // namespace

Gateway::Gateway(net::Loop& loop, const EtcdSettings& settings, std::function<void()> on_ready)
    : loop_(loop),
      settings_(settings),
      on_ready_(std::move(on_ready)),
      random_(std::random_device()()),
      endpoint_(random_() % settings.endpoints.size()),
      http_(loop, {settings.ca_file, settings.cert_file, settings.key_file}) {
  pause_ = loop_.after({}, [this] { resume(); });
}

Gateway::~Gateway() { loop_.cancel(pause_); }

// The gateway hands the header "hasleader" on as gRPC's metadata: a member that sees no leader then
// fails requests at once, rather than after seven seconds, and ends watches, rather than never.
HttpClient::Request Gateway::request(const char* what, const std::string& body) const {
  HttpClient::Request request{
      .url = settings_.endpoints[endpoint_] + "/v3/" + what,
      .headers = {"Content-Type: application/json", "Grpc-Metadata-hasleader: true", "Expect:"},
      .body = body,
      .connect_timeout = settings_.connect_timeout,
      .timeout = settings_.request_timeout};
  if (!token_.empty()) request.headers.push_back("Authorization: " + token_);
  return request;
}

void Gateway::call(const char* what, const std::string& body, Done done,
                   std::optional<base::Duration> patience) {
  HttpClient::Request asked = request(what, body);
  if (patience) asked.timeout = std::min(asked.timeout, *patience);
  http_.post(asked,
             [this, done = std::move(done), endpoint = endpoint_, token = token_](
                 const HttpClient::Answer& answer) { done(judge(answer, endpoint, token)); });
}

Gateway::StreamId Gateway::stream(const char* what, const std::string& body,
                                  HttpClient::Arrived arrived, Done ended) {
  HttpClient::Request streamed = request(what, body);
  streamed.timeout = {};
  const auto id = std::make_shared<StreamId>();
  *id = http_.stream(streamed, std::move(arrived),
                     [this, id, endpoint = endpoint_, token = token_](HttpClient::Answer answer) {
                       auto stream = streams_.extract(*id);
                       if (answer.status == 200) answer = {.text = "the stream has ended"};
                       const Answer judged = judge(answer, endpoint, token);
                       if (stream) stream.mapped()(judged);
                     });
  streams_.emplace(*id, std::move(ended));
  return *id;
}

void Gateway::cancel(StreamId stream) {
  if (streams_.erase(stream) != 0) http_.cancel(stream);
}

void Gateway::call_now(const char* what, const std::string& body, base::Duration patience) {
  HttpClient::Request now = request(what, body);
  now.timeout = now.connect_timeout = patience;
  const auto answer = http_.post_now(now);
  if (answer.status != 200)
    log_.warn("etcd", "not answered", {{"what", what}, {"why", answer.text}});
}

Gateway::Answer Gateway::judge(const HttpClient::Answer& answer, std::size_t endpoint,
                               const std::string& token) {
  if (answer.status == 200 && answer.text.starts_with('{')) {
    heard_ = loop_.now();
    left_ = 0;
    pauses_ = 0;
    refusal_.clear();
    return {.ok = true, .text = answer.text};
  }
  if (answer.status == 0) {
    if (answer.refused) refusal_ = "etcd: " + answer.text;
    leave(endpoint, answer.text);
    return {.text = answer.text};
  }
  const Failure failure = parse_failure(answer.text);
  if (is_answer(failure)) return {.text = failure.text, .code = failure.code};
  if (is_about_token(failure) && token == token_) token_.clear();
  if (failure.code == Code::other) {
    leave(endpoint, failure.text);
    return {.text = failure.text};
  }
  pause(failure.text);
  return {.text = failure.text, .code = failure.code};
}

// Changes to the next endpoint. Ends the streams of this one, because their changes may be old.
void Gateway::leave(std::size_t endpoint, std::string_view why) {
  // The endpoint has been left already, or a retry is due.
  if (endpoint != endpoint_ || pause_ != 0) return wait({});
  log_.warn("etcd", "endpoint left", {{"endpoint", settings_.endpoints[endpoint_]}, {"why", why}});
  endpoint_ = (endpoint_ + 1) % settings_.endpoints.size();
  const bool around = ++left_ % settings_.endpoints.size() == 0;
  wait(around ? longer_pause() : next_endpoint_pause);
  const std::string text(why);
  for (auto& [id, ended] : std::exchange(streams_, {})) {
    http_.cancel(id);
    ended({.text = text});
  }
}

void Gateway::pause(std::string_view why) {
  if (pause_ != 0) return;
  log_.warn("etcd", "request failed", {{"why", why}});
  wait(longer_pause());
}

void Gateway::wait(base::Duration delay) {
  if (pause_ == 0) pause_ = loop_.after(delay, [this] { resume(); });
}

base::Duration Gateway::longer_pause() {
  const base::Duration whole =
      std::min({first_pause * (1 << std::min(pauses_++, most_doublings)), longest_pause,
                std::max(settings_.lease / 4, first_pause)});
  return whole - whole * (random_() % 512) / 1024;
}

void Gateway::resume() {
  pause_ = 0;
  if (ready()) {
    on_ready_();
  } else {
    authenticate();
  }
}

void Gateway::authenticate() {
  const auto password = read_password(settings_.password_file);
  if (!password) {
    refusal_ = password.error();
    return pause(password.error());
  }
  const auto done = [this, endpoint = endpoint_](const HttpClient::Answer& answer) {
    const unsigned pauses = pauses_;
    const Answer judged = judge(answer, endpoint, {});
    if (!judged.ok) {
      if (judged.code) refusal_ = "etcd: " + judged.text;
      return;
    }
    pauses_ = pauses;  // a token that is refused again must not spin
    auto token = parse_token(judged.text);
    if (!token) return distrust(token.error());
    token_ = *std::move(token);
    on_ready_();
  };
  http_.post(request("auth/authenticate", to_authenticate(settings_.user, *password)), done);
}

}  // namespace canopy::coordination::etcd
