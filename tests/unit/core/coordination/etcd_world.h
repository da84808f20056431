// A real etcd, a loop, and coordinators on it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/coordination/etcd.h"
#include "core/coordination/http_client.h"
#include "tests/unit/core/coordination/etcd_server.h"

namespace canopy::coordination {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The machine's time, which tests may advance.
class ForwardClock final : public base::Clock {
 public:
  base::TimePoint now() const override { return system_.now() + ahead_; }
  void advance(base::Duration by) { ahead_ += by; }

 private:
  base::SystemClock system_;
  base::Duration ahead_{};
};

class EtcdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_program("etcd")) GTEST_SKIP() << "no etcd on the PATH";
    server_ = std::make_unique<EtcdServer>(folder_);
    server_->start();
    settings_.endpoints = {server_->endpoint()};
  }

  std::unique_ptr<Coordinator> client(const std::string& name, const std::string& identity = {}) {
    return make_etcd_coordinator(loop_, settings_, name, identity);
  }

  // Runs the loop until `done`; false when that takes too long.
  template <typename Done>
  bool until(Done done, milliseconds patience = seconds(30)) {
    const auto give_up = loop_.now() + patience;
    bool is_done = false;
    const auto poll = loop_.every(milliseconds(5), [&] {
      is_done = done();
      if (is_done || loop_.now() >= give_up) loop_.stop();
    });
    loop_.run();
    loop_.cancel(poll);
    return is_done;
  }
  void pass(milliseconds time) {
    (void)until([] { return false; }, time);
  }

  void watch(Coordinator& coordinator, const std::string& prefix = "") {
    coordinator.watch(prefix, [this](const Event& event) {
      events_.push_back(event.key + "=" + event.value.value_or("(gone)"));
      seen_.erase(event.key);
      if (event.value) seen_[event.key] = *event.value;
      versions_[event.key] = event.version;
    });
  }

  // Requests from etcd directly, until it answers.
  std::string ask(const std::string& what, const std::string& body,
                  const std::vector<std::string>& headers = {}) {
    HttpClient http(loop_, {});
    HttpClient::Answer answer;
    const auto give_up = loop_.now() + seconds(30);
    while (answer.status != 200 && loop_.now() < give_up) {
      answer = http.post_now({.url = settings_.endpoints.front() + "/v3/" + what,
                              .headers = headers,
                              .body = body,
                              .timeout = seconds(1)});
      if (answer.status != 200) pass(milliseconds(20));
    }
    EXPECT_EQ(answer.status, 200) << what << ": " << answer.text;
    return answer.text;
  }

  ForwardClock clock_;
  net::Loop loop_{clock_};
  Folder folder_;
  std::unique_ptr<EtcdServer> server_;
  EtcdSettings settings_{.prefix = "canopy/test/", .lease = seconds(1)};
  std::map<std::string, std::string> seen_;
  std::map<std::string, std::uint64_t> versions_;
  std::vector<std::string> events_;
};

}  // namespace canopy::coordination
