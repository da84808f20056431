// A session at work over real sockets: the model proxy behind a ROUTER of libzmq.
#include "client/runner.h"

#include <gmock/gmock.h>

#include <mutex>
#include <zmq.hpp>

#include "tests/unit/client/model_proxy.h"

namespace canopy::client {
namespace {

using namespace std::chrono_literals;

// The events, under a lock: events come on the runner's thread.
class Recorder final : public Events {
 public:
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }
  bool has(const std::string& event) { return std::ranges::count(all(), event) > 0; }

 private:
  void record(const std::string& event) {
    const std::lock_guard lock(mutex_);
    all_.push_back(event);
  }
  void changed(WatchId, const Change& change) override {
    record(std::string(change.key) + "=" + std::string(change.value));
  }
  void synced(WatchId, const Synced&) override { record("synced"); }
  void missed(WatchId, std::optional<std::uint64_t>) override { record("missed"); }
  void refused(WatchId, const Answer&) override { record("refused"); }
  void contact(bool present) override { record(present ? "contact" : "no contact"); }
  void answered(CallId call, Answer answer) override {
    record(std::to_string(call) + (answer.ok() ? " done" : " failed"));
  }

  std::mutex mutex_;
  std::vector<std::string> all_;
};

// A process of the model proxy.
class Served {
 public:
  Served(model::Shards& shards, const std::string& endpoint) : proxy("p", shards) {
    socket_.set(zmq::sockopt::linger, 0);
    for (int tries = 0;; ++tries) {
      try {
        socket_.bind(endpoint);
        break;
      } catch (const zmq::error_t&) {  // its predecessor is still going
        if (tries == 100) throw;
        std::this_thread::sleep_for(20ms);
      }
    }
    proxy.follow();
  }
  std::string endpoint() const { return socket_.get(zmq::sockopt::last_endpoint); }

  // Serves until it is done; false when it never is.
  bool serve(const std::function<bool()>& done) {
    for (int i = 0; i < 2000 && !done(); ++i) {
      zmq::message_t peer, frame;
      while (socket_.recv(peer, zmq::recv_flags::dontwait)) {
        if (!socket_.recv(frame)) return false;
        if (peer.to_string() != peer_) attach(peer.to_string());
        proxy.on_request(frame.to_string_view());
      }
      if (i % 100 == 0) proxy.heartbeat();
      std::this_thread::sleep_for(5ms);
    }
    return done();
  }

 private:
  void attach(const std::string& peer) {
    proxy.detach();
    peer_ = peer;
    proxy.attach([this](const std::string& frame) {
      socket_.send(zmq::buffer(peer_), zmq::send_flags::sndmore);
      socket_.send(zmq::buffer(frame), zmq::send_flags::none);
    });
  }

  zmq::context_t context_;
  zmq::socket_t socket_{context_, zmq::socket_type::router};
  std::string peer_;

 public:
  model::Proxy proxy;
};

TEST(Runner, WatchesAndWritesAndGoesOnAtTheNextProcess) {
  model::Shards shards({""});
  shards.put("/a", "1");
  auto served = std::make_unique<Served>(shards, "tcp://127.0.0.1:*");
  const std::string endpoint = served->endpoint();
  Recorder recorder;
  Runner runner(
      {.proxies = {{.name = "p", .endpoint = endpoint}}, .client = std::string(16, 'c'), .seed = 1},
      std::nullopt, recorder);
  runner.post([](Session& session, base::TimePoint now) { session.watch(1, {}, now); });
  ASSERT_TRUE(served->serve([&] { return recorder.has("synced"); }));
  runner.post([](Session& session, base::TimePoint now) {
    session.write(7, {{.key = "/b", .value = "2"}}, now);
  });
  ASSERT_TRUE(served->serve([&] {
    served->proxy.follow();
    return recorder.has("/b=2") && recorder.has("7 done");
  }));

  // Another process has the endpoint before the client misses the first: the proxy sends it
  // everything again.
  served.reset();
  shards.put("/c", "3");
  served = std::make_unique<Served>(shards, endpoint);
  ASSERT_TRUE(served->serve([&] { return recorder.all().back() == "synced"; }));
  EXPECT_EQ(served->proxy.announcements.size(), 1u);
  EXPECT_THAT(recorder.all(),
              testing::ElementsAre("contact", "/a=1", "synced", testing::_, testing::_,
                                   "no contact", "contact", "/c=3", "synced"));
  runner.stop();
}

}  // namespace
}  // namespace canopy::client
