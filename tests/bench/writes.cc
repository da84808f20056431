// One client's acknowledged writes: with a fixed number under way, how many a second, and how long
// each takes. Prints one JSON object a window.
//
//   bench-writes ENDPOINT SECONDS WINDOW…
#include <sys/random.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "client/directory.h"
#include "client/session.h"
#include "client/sockets.h"
#include "core/net/loop.h"

namespace {

using namespace canopy;
using namespace std::chrono_literals;

constexpr int keys = 1000;
constexpr std::size_t value_bytes = 100;

class Writer final : private client::Events {
 public:
  Writer(client::Target target, std::size_t window, base::Duration lasting)
      : window_(window),
        lasting_(lasting),
        session_({.proxies = {std::move(target)},
                  .client = random_id(),
                  .name = "bench",
                  .seed = window},
                 sockets_, *this),
        sockets_(server_, session_, {}) {}

  // False when a write failed.
  bool run() {
    sockets_.start();
    for (std::size_t i = 0; i < window_; ++i) write();
    loop_.after(500ms, [this] { began_ = loop_.now(); });
    loop_.after(500ms + lasting_, [this] {
      ended_ = loop_.now();
      loop_.stop();
    });
    loop_.run();
    return !failed_ && !took_.empty();
  }
  void print() {
    std::ranges::sort(took_);
    const auto at = [&](double share) {
      const auto index = share * static_cast<double>(took_.size() - 1);
      return std::chrono::duration<double, std::milli>(took_[static_cast<std::size_t>(index)]);
    };
    const std::chrono::duration<double> lasted = ended_ - began_;
    std::printf(
        "{\"window\": %zu, \"writes_per_second\": %.0f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
        window_, static_cast<double>(took_.size()) / lasted.count(), at(0.5).count(),
        at(0.99).count());
  }

 private:
  static std::string random_id() {
    std::string id(wire::native::client_id_bytes, '\0');
    if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) std::abort();
    return id;
  }

  void write() {
    wire::Write write;
    write.key = "/writes/" + std::to_string(next_ % keys);
    write.value.assign(value_bytes, 'x');
    sent_.push_back(loop_.now());
    session_.write(next_++, {std::move(write)}, loop_.now(), 60s);
  }

  void changed(client::WatchId, const client::Change&) override {}
  void synced(client::WatchId, const client::Synced&) override {}
  void missed(client::WatchId, std::optional<std::uint64_t>) override {}
  void refused(client::WatchId, const client::Answer&) override {}
  void contact(bool) override {}
  void answered(client::CallId call, client::Answer answer) override {
    failed_ |= !answer.ok();
    if (began_ != base::TimePoint()) took_.push_back(loop_.now() - sent_[call]);
    // A session may not be called from within its events.
    if (std::exchange(free_, free_ + 1) == 0) {
      loop_.post([this] {
        for (std::size_t left = std::exchange(free_, 0); left > 0; --left) write();
      });
    }
  }

  std::size_t window_;
  base::Duration lasting_;
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Server server_{loop_};
  client::Session session_;
  client::Sockets sockets_;
  client::CallId next_ = 0;
  std::vector<base::TimePoint> sent_;  // by call
  std::vector<base::Duration> took_;
  std::size_t free_ = 0;
  base::TimePoint began_{};
  base::TimePoint ended_{};
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  const auto target = argc > 3 ? client::target_at(argv[1]) : base::Error{"wrong usage"};
  if (!target) {
    std::fprintf(stderr, "bench-writes ENDPOINT SECONDS WINDOW…: %s\n", target.error().c_str());
    return 2;
  }
  for (int i = 3; i < argc; ++i) {
    Writer writer(*target, std::strtoul(argv[i], nullptr, 10),
                  std::chrono::seconds(std::atoi(argv[2])));
    if (!writer.run()) return 1;
    writer.print();
  }
  return 0;
}
