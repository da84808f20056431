// `canopy ping`: measures round trips to one proxy, and acknowledged writes through it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/command_line.h"
#include "client/link.h"
#include "core/base/clock.h"
#include "core/net/loop.h"
#include "core/wire/native.h"

namespace canopy::client::cli {

// "LABEL min/p50/p99/max = … ms"; percentiles by nearest rank. Pure. Empty: no samples.
std::string latency_line(std::string_view label, std::vector<base::Duration> samples);

// A probe sends one ping, and once that is answered one write, if the command names a key. A probe
// without its replies within the timeout is lost; the next one uses a new connection. There is no
// session: it would repeat what is lost. `command` must outlive it.
class Pinger {
 public:
  explicit Pinger(const Command& command);

  // Ends after the last probe, or by SIGINT or SIGTERM, with the statistics.
  Exit run();

 private:
  bool find_proxy();
  void begin_probe();
  void send_ping();
  void on_frame(std::string_view frame);
  void on_pong();
  void on_written();
  void on_refusal(const wire::native::Refusal& refusal);
  void end_probe(bool lost);
  Exit finish();

  const Command& command_;
  base::SystemClock clock_;
  net::Loop loop_{clock_};
  net::Connections server_{loop_};
  std::optional<Link> link_{};
  std::string proxy_{}, endpoint_{}, client_{};
  Exit exit_ = Exit::ok;
  std::uint64_t probes_ = 0;  // begun; also the number of the current one
  std::uint64_t answered_ = 0;
  bool under_way_ = false;
  bool announced_ = false;           // to the proxy, over this connection
  net::Loop::TimerId timeout_ = 0;   // of the current probe
  base::TimePoint began_{};          // the probe
  base::TimePoint sent_{};           // its last message
  base::Duration ping_time_{};       // of the current probe
  wire::native::FromProxy reply_{};  // reused
  std::vector<base::Duration> pings_{}, writes_{};
};

}  // namespace canopy::client::cli
