// Measures one client's acknowledged writes: rate and latency with a fixed number in flight. Prints
// one JSON object for each window.
//
//   bench-writes ENDPOINT SECONDS WINDOW…
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "client/directory.h"
#include "loadtest/measure/clock.h"
#include "loadtest/measure/histogram.h"
#include "loadtest/measure/session_client.h"

namespace {

using namespace canopy;
using namespace std::chrono_literals;

constexpr int keys = 1000;
constexpr std::size_t value_bytes = 100;

class Writer final : public measure::SessionClient {
 public:
  Writer(net::Connections& server, client::Target target, std::size_t window,
         base::Duration lasting)
      : SessionClient(server, {.proxies = {std::move(target)},
                               .client = measure::random_client_id(),
                               .name = "bench",
                               .seed = window}),
        window_(window),
        lasting_(lasting) {}

  // False when a write failed.
  bool run() {
    start();
    for (std::size_t i = 0; i < window_; ++i) write();
    loop().after(500ms, [this] { began_ = loop().now(); });
    loop().after(500ms + lasting_, [this] {
      ended_ = loop().now();
      loop().stop();
    });
    loop().run();
    return !failed_ && took_.count() > 0;
  }
  void print() const {
    const std::chrono::duration<double> lasted = ended_ - began_;
    std::printf(
        "{\"window\": %zu, \"writes_per_second\": %.0f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
        window_, static_cast<double>(took_.count()) / lasted.count(), took_.percentile(0.5),
        took_.percentile(0.99));
  }

 private:
  void write() {
    wire::Write write;
    write.key = "/writes/" + std::to_string(next_ % keys);
    write.value.assign(value_bytes, 'x');
    sent_.push_back(loop().now());
    session().write(next_++, {std::move(write)}, loop().now(), 60s);
  }

  void answered(client::CallId call, client::Answer answer) override {
    failed_ |= !answer.ok();
    if (began_ != base::TimePoint()) took_.record((loop().now() - sent_[call]).count());
    // A session may not be called from within its events.
    if (std::exchange(free_, free_ + 1) == 0) {
      loop().post([this] {
        for (std::size_t left = std::exchange(free_, 0); left > 0; --left) write();
      });
    }
  }

  std::size_t window_;
  base::Duration lasting_;
  client::CallId next_ = 0;
  std::vector<base::TimePoint> sent_;  // by call
  measure::Histogram took_;
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
    const measure::MachineClock clock;
    net::Loop loop(clock);
    net::Connections server(loop);
    Writer writer(server, *target, std::strtoul(argv[i], nullptr, 10),
                  std::chrono::seconds(std::atoi(argv[2])));
    if (!writer.run()) return 1;
    writer.print();
  }
  return 0;
}
