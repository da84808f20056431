// A local server on one loop with its coordinators, and a peer that sends single messages.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/coordination/local.h"
#include "core/coordination/local_server.h"
#include "tests/unit/core/zmtp/libzmq_peer.h"

namespace canopy::coordination {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LocalTest : public ::testing::Test {
 protected:
  void SetUp() override { start_server(); }

  void start_server() {
    server_ = std::make_unique<LocalServer>(listening_, lease_, queue_bytes_, nullptr, record());
    server_->on_rejected([this](std::string_view reason) { ++rejected_[std::string(reason)]; });
    server_->on_closing([this](const net::Closing& closing) { closed_.push_back(closing.closed); });
    server_->observe([this](const cluster::Change& change) {
      if (const auto* ended = std::get_if<cluster::SessionEnded>(&change)) {
        constexpr const char* words[] = {"expired", "left", "superseded", "dropped"};
        ended_.push_back(ended->name + " " + words[static_cast<int>(ended->why)]);
      }
    });
    const auto status = server_->bind(endpoint_, seconds(5));
    ASSERT_TRUE(status) << status.error();
    endpoint_ = server_->endpoint();
  }

  // Continues from the record of the previous server.
  cluster::DirectoryRecord record() {
    return cluster::DirectoryRecord(
        kept_,
        [this](const cluster::DirectoryRecord::Kept& kept) {
          kept_ = kept;
          return base::Status();
        },
        entries_,
        [this](const cluster::DirectoryRecord::Entries& changed) {
          ++keeps_;
          if (disk_is_full_) return base::Status(base::Error{"no space"});
          for (const auto& [key, entry] : changed) entries_[key] = entry;
          return base::Status();
        });
  }

  std::unique_ptr<Coordinator> client(const std::string& name, const std::string& identity = {}) {
    return make_local_coordinator(loop_, endpoint_, name, nullptr, identity);
  }

  // Runs the loop until `done`; false when that takes too long.
  template <typename Done>
  bool until(Done done, milliseconds patience = seconds(10)) {
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
    });
  }

  base::SystemClock clock_;
  zmq::context_t context_;
  net::Loop loop_{clock_};
  std::string endpoint_ = "tcp://127.0.0.1:*";
  milliseconds lease_{600};
  std::size_t queue_bytes_ = LocalServer::usual_queue_bytes;
  net::Connections listening_{loop_};
  cluster::DirectoryRecord::Kept kept_{.identity = "r"};
  cluster::DirectoryRecord::Entries entries_;
  int keeps_ = 0;  // writes of entries
  bool disk_is_full_ = false;
  std::unique_ptr<LocalServer> server_;
  std::map<std::string, int> rejected_;
  std::vector<std::string> ended_;
  std::vector<std::string> closed_;
  std::map<std::string, std::string> seen_;
  std::vector<std::string> events_;
};

// A peer that sends single messages.
class Peer {
 public:
  Peer(zmq::context_t& context, const std::string& endpoint,
       const zmtp::DealerOptions& options = {})
      : socket_(zmtp::make_dealer(context, endpoint, options)) {}
  void send(const Request& request) { send(request, ++sent_); }
  void send(const Request& request, std::uint64_t number) { raw(encode(request, number)); }
  void raw(std::string frame) { zmtp::send(socket_, {std::move(frame)}); }
  zmq::socket_t& socket() { return socket_; }

  // Whether a reply of this kind has arrived.
  template <typename Body>
  bool heard(Body* body = nullptr) {
    for (auto parts = zmtp::receive(socket_); !parts.empty(); parts = zmtp::receive(socket_)) {
      const auto reply = decode_reply(parts[0]);
      if (!reply || !std::holds_alternative<Body>(reply->body)) continue;
      if (body != nullptr) *body = std::get<Body>(reply->body);
      return true;
    }
    return false;
  }

 private:
  zmq::socket_t socket_;
  std::uint64_t sent_ = 0;
};

}  // namespace canopy::coordination
