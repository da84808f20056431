// The way to etcd: its endpoints in turn, its tokens, and when to ask again after a failure.
//
// Whatever wants something asks when ready(), once, and on a failure waits for `on_ready`: pauses
// between failures are shared by all, and no request is repeated from here. Belongs to its loop.
// Callbacks as of HttpClient.
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
    std::string text{};                       // JSON; or of what failed, why
    std::optional<Code> code = std::nullopt;  // of what failed; absent: it may have been done
  };
  using Done = std::function<void(const Answer&)>;
  using StreamId = HttpClient::Id;

  // Calls `on_ready` when it has become ready, never from within a call.
  Gateway(net::Loop& loop, const EtcdSettings& settings, std::function<void()> on_ready);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  bool ready() const { return pause_ == 0 && (settings_.user.empty() || !token_.empty()); }

  // Asks for, say, "kv/range". `done` is called once. After a failure other than "not found", "out
  // of range" and a size, it is not ready for a while. `patience`: less than usual.
  void call(const char* what, const std::string& body, Done done,
            std::optional<base::Duration> patience = std::nullopt);
  // `ended` is called once, also when another endpoint has to be tried.
  StreamId stream(const char* what, const std::string& body, HttpClient::Arrived arrived,
                  Done ended);
  void cancel(StreamId stream);
  // Waits for the answer up to `patience`.
  void call_now(const char* what, const std::string& body, base::Duration patience);

  // What etcd answered cannot be done anything about: all wait for a while.
  void pause(std::string_view why);
  // It is no answer: the next endpoint is to be asked.
  void distrust(std::string_view why) { leave(endpoint_, why); }

  net::Loop& loop() { return loop_; }
  // When etcd last did what it was asked for.
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
  std::size_t endpoint_;  // that is asked
  std::string token_{};
  std::string refusal_{};
  std::optional<base::TimePoint> heard_{};
  std::size_t left_ = 0;  // endpoints, since then
  unsigned pauses_ = 0;   // not only for the next endpoint, since then
  net::Loop::TimerId pause_ = 0;
  std::map<StreamId, Done> streams_{};
  base::log::RateLimited log_{};
  HttpClient http_;
};

}  // namespace canopy::coordination::etcd
