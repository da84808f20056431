#include "core/coordination/http_client.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace canopy::coordination {
namespace {

constexpr long keep_alive_idle_s = 10;
constexpr long keep_alive_interval_s = 5;

// Once per process, and never undone: other users of libcurl may still run at the exit.
void initialise() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::bad_alloc();
}

long in_curl_ms(base::Duration duration) {
  return duration.count() == 0 ? 0 : std::max(1L, static_cast<long>(base::in_ms(duration)));
}

// In TLS 1.3 a server refuses a certificate after the handshake, by an alert.
bool is_tls_fault(CURLcode code, std::string_view text) {
  if (code == CURLE_RECV_ERROR) return text.find(" alert ") != std::string_view::npos;
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return true;
    default: return false;
  }
}

}  // namespace

struct HttpClient::Transfer {
  Transfer(const Request& request, const Tls& tls) : body(request.body) {
    for (const std::string& header : request.headers) {
      curl_slist* longer = curl_slist_append(headers, header.c_str());
      if (longer == nullptr) throw std::bad_alloc();
      headers = longer;
    }
    set_up(request);
    set_up(tls);
  }
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void set_up(const Request& request) {
    if (easy == nullptr) throw std::bad_alloc();
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // ignores the environment's
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, in_curl_ms(request.connect_timeout));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, in_curl_ms(request.timeout));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, keep_alive_idle_s);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, keep_alive_interval_s);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error.data());
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &Transfer::on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  }

  void set_up(const Tls& tls) {
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!tls.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, tls.ca_file.c_str());
    if (!tls.cert_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLCERT, tls.cert_file.c_str());
    if (!tls.key_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLKEY, tls.key_file.c_str());
  }

  // libcurl repeats a request by itself when a connection that it had kept turns out to be closed.
  static int on_request(void* self, char*, char*, int, int) {
    return std::exchange(static_cast<Transfer*>(self)->sent, true) ? CURL_PREREQFUNC_ABORT
                                                                   : CURL_PREREQFUNC_OK;
  }

  static std::size_t on_body(char* data, std::size_t one, std::size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.received.size() + one * size > max_body_bytes) return 0;
    transfer.received.append(data, one * size);
    return one * size;
  }

  long status() const {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  CURL* const easy = curl_easy_init();
  curl_slist* headers = nullptr;
  const std::string body;
  bool sent = false;
  std::string received{};  // and not yet passed to a callback
  std::array<char, CURL_ERROR_SIZE> error{};
  Arrived arrived{};
  Done done{};
};

// A descriptor of libcurl's on the loop.
struct HttpClient::Watched final : net::EventHandler {
  Watched(HttpClient& its_client, curl_socket_t its_socket)
      : client(its_client), socket(its_socket) {}

  // The call may delete this object.
  void on_events(bool readable, bool writable) override {
    client.act(socket, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
  }

  HttpClient& client;
  const curl_socket_t socket;
};

HttpClient::HttpClient(net::Loop& loop, const Tls& tls)
    : loop_(loop), tls_(tls), multi_((initialise(), curl_multi_init())) {
  if (multi_ == nullptr) throw std::bad_alloc();
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &HttpClient::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &HttpClient::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

HttpClient::~HttpClient() {
  for (const auto& [id, transfer] : transfers_) curl_multi_remove_handle(multi_, transfer->easy);
  transfers_.clear();
  curl_multi_cleanup(multi_);
  for (const auto& [socket, watched] : watched_) loop_.unwatch(socket);
  loop_.cancel(timer_);
}

HttpClient::Id HttpClient::post(const Request& request, Done done) {
  return start(request, nullptr, std::move(done));
}

HttpClient::Id HttpClient::stream(const Request& request, Arrived arrived, Done done) {
  return start(request, std::move(arrived), std::move(done));
}

HttpClient::Id HttpClient::start(const Request& request, Arrived arrived, Done done) {
  auto transfer = std::make_unique<Transfer>(request, tls_);
  transfer->arrived = std::move(arrived);
  transfer->done = std::move(done);
  curl_multi_add_handle(multi_, transfer->easy);
  transfers_.emplace(++last_id_, std::move(transfer));
  return last_id_;
}

void HttpClient::cancel(Id id) {
  const auto transfer = transfers_.extract(id);
  if (transfer) curl_multi_remove_handle(multi_, transfer.mapped()->easy);
}

HttpClient::Answer HttpClient::post_now(const Request& request) const {
  Transfer transfer(request, tls_);
  return answer_of(transfer, curl_easy_perform(transfer.easy));
}

HttpClient::Answer HttpClient::answer_of(Transfer& transfer, CURLcode code) {
  if (code == CURLE_OK) return {transfer.status(), std::move(transfer.received)};
  const std::string why =
      transfer.error.front() != '\0' ? transfer.error.data() : curl_easy_strerror(code);
  return {.text = why, .refused = is_tls_fault(code, why)};
}

// libcurl must not be called from its own callbacks: their results are passed on afterwards.
void HttpClient::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, socket, events, &running);
  hand_over();
}

void HttpClient::hand_over() {
  std::vector<Id> arrived;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer->arrived && !transfer->received.empty() && transfer->status() == 200) {
      arrived.push_back(id);
    }
  }
  for (const Id id : arrived) {
    const auto transfer = transfers_.find(id);
    if (transfer == transfers_.end()) continue;
    const Arrived callback = transfer->second->arrived;
    callback(std::exchange(transfer->second->received, {}));
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* const easy = message->easy_handle;
    const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                    [easy](const auto& each) { return each.second->easy == easy; });
    if (found == transfers_.end()) continue;
    const auto transfer = transfers_.extract(found);
    curl_multi_remove_handle(multi_, easy);
    transfer.mapped()->done(answer_of(*transfer.mapped(), code));
  }
}

int HttpClient::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  auto& client = *static_cast<HttpClient*>(self);
  const auto found = client.watched_.find(socket);
  if (what == CURL_POLL_REMOVE) {
    if (found == client.watched_.end()) return 0;
    client.loop_.unwatch(socket);
    client.watched_.erase(found);
    return 0;
  }
  const net::Interest interest{.readable = (what & CURL_POLL_IN) != 0,
                               .writable = (what & CURL_POLL_OUT) != 0};
  if (found != client.watched_.end()) {
    client.loop_.change(socket, interest);
    return 0;
  }
  const auto made = client.watched_.emplace(socket, std::make_unique<Watched>(client, socket));
  client.loop_.watch(socket, *made.first->second, interest);
  return 0;
}

int HttpClient::on_timer(CURLM*, long timeout_ms, void* self) {
  auto& client = *static_cast<HttpClient*>(self);
  client.loop_.cancel(client.timer_);
  client.timer_ = 0;
  if (timeout_ms < 0) return 0;
  client.timer_ = client.loop_.after(std::chrono::milliseconds(timeout_ms), [&client] {
    client.timer_ = 0;
    client.act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

}  // namespace canopy::coordination
