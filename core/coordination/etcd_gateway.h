// Requests to etcd: selects the endpoint, obtains tokens, and paces retries after failures.
// Belongs to its loop. Callbacks as of HttpClient.
//
// A caller sends a request when ready(), and after a failure waits for `on_ready`: all callers
// share the pauses between failures. The gateway repeats no request.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "core/base/log.h"
#include "core/coordination/etcd.h"
#include "core/coordination/etcd_messages.h"
#include "core/coordination/http_client.h"

namespace canopy::coordination::etcd {

class Gateway {
 public:
  struct Answer {
    bool ok = false;
    std::string text{};                       // JSON; of a failure, the reason
    std::optional<Code> code = std::nullopt;  // of a failure; absent: etcd may have done it
  };
  using Done = std::function<void(const Answer&)>;
  using StreamId = HttpClient::Id;

  // `on_ready` is called when the gateway becomes ready, never from within a call.
  Gateway(net::Loop& loop, const EtcdSettings& settings, std::function<void()> on_ready);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  bool ready() const { return pause_ == 0 && (settings_.user.empty() || !token_.empty()); }

  // Sends a request such as "kv/range". `done` is called once. After a failure other than "not
  // found", "out of range" and a size, the gateway pauses. `patience`: a shorter timeout.
  void call(const char* what, const std::string& body, Done done,
            std::optional<base::Duration> patience = std::nullopt);
  // `ended` is called once, also when the gateway changes its endpoint.
  StreamId stream(const char* what, const std::string& body, HttpClient::Arrived arrived,
                  Done ended);
  void cancel(StreamId stream);
  // Waits for the answer up to `patience`.
  void call_now(const char* what, const std::string& body, base::Duration patience);

  // etcd's answer was a failure that only time can mend: pauses.
  void pause(std::string_view why);
  // The answer is not one of etcd: changes to the next endpoint.
  void distrust(std::string_view why) { leave(endpoint_, why); }

  net::Loop& loop() { return loop_; }
  // The time of etcd's last successful answer.
  std::optional<base::TimePoint> heard() const { return heard_; }
  // Why the connection or the user is refused; empty when neither is.
  const std::string& refusal() const { return refusal_; }

 private:
  HttpClient::Request request(const char* what, const std::string& body) const;
  Answer judge(const HttpClient::Answer& answer, std::size_t endpoint, const std::string& token);
  void leave(std::size_t endpoint, std::string_view why);
  void wait(base::Duration delay);
  base::Duration longer_pause();
  void resume();
  void authenticate();

  net::Loop& loop_;
  const EtcdSettings settings_;
  const std::function<void()> on_ready_;
  std::minstd_rand random_;
  std::size_t endpoint_;  // in use
  std::string token_{};
  std::string refusal_{};
  std::optional<base::TimePoint> heard_{};
  std::size_t left_ = 0;  // endpoints left since then
  unsigned pauses_ = 0;   // since then, without those for a change of the endpoint
  net::Loop::TimerId pause_ = 0;
  std::map<StreamId, Done> streams_{};
  base::log::RateLimited log_{};
  HttpClient http_;
};

}  // namespace canopy::coordination::etcd
