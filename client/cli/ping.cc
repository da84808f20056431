#include "client/cli/ping.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <random>

#include "client/cli/call.h"
#include "client/cli/clients.h"
#include "client/cli/output.h"
#include "client/cli/refusal.h"
#include "client/cli/text.h"
#include "core/coordination/coordinator.h"
#include "core/net/signals.h"

namespace canopy::client::cli {
namespace {

namespace native = wire::native;

std::string milliseconds(base::Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f",
                std::chrono::duration<double, std::milli>(duration).count());
  return text;
}

}  // namespace

std::string latency_line(std::string_view label, std::vector<base::Duration> samples) {
  if (samples.empty()) return {};
  std::ranges::sort(samples);
  const auto percentile = [&](std::size_t percent) {
    const std::size_t rank = (samples.size() * percent + 99) / 100;
    return milliseconds(samples[rank - 1]);
  };
  return std::string(label) + " min/p50/p99/max = " + milliseconds(samples.front()) + "/" +
         percentile(50) + "/" + percentile(99) + "/" + milliseconds(samples.back()) + " ms\n";
}

Pinger::Pinger(const Command& command) : command_(command) {
  std::random_device random;
  while (client_.size() < native::client_id_bytes) client_ += static_cast<char>(random());
}

Exit Pinger::run() {
  if (!find_proxy()) return exit_;
  net::Signals signals({SIGINT, SIGTERM});
  signals.attach(loop_, [this](int) { loop_.stop(); });
  link_.emplace(server_, command_.cluster.keys,
                LinkEvents{.on_frame = [this](std::string_view frame) { on_frame(frame); },
                           .on_lost = [this] { announced_ = false; }});
  if (const auto connected = link_->connect(endpoint_); !connected) {
    return fail(Exit::no_answer, connected.error());
  }
  exit_ = print_result("PING " + escaped(proxy_) + " (" + endpoint_ + ")\n");
  if (exit_ != Exit::ok) return exit_;
  begin_probe();
  loop_.run();
  return finish();
}

bool Pinger::find_proxy() {
  const native::Directory question{.request = 1, .prefix = coordination::proxies_prefix};
  const auto answer = ask_brokers(command_.cluster, native::encode(question), command_.timeout);
  const auto* members = answer ? std::get_if<native::Members>(&*answer) : nullptr;
  if (members == nullptr) {
    const auto* refusal = answer ? std::get_if<native::Refusal>(&*answer) : nullptr;
    exit_ = !answer ? fail(Exit::no_answer, answer.error())
                    : fail(Exit::refused,
                           refusal ? escaped(refusal->text) : "the broker sent no list of proxies");
    return false;
  }
  const auto proxies = proxies_of(*members, command_.subject);
  const auto found =
      std::ranges::find_if(proxies, [](const AskedProxy& each) { return each.fault.empty(); });
  if (found != proxies.end()) {
    proxy_ = found->name;
    endpoint_ = found->native;
    return true;
  }
  for (const std::string& line : fault_lines(proxies)) complain(line);
  if (proxies.empty() && !command_.subject.empty()) {
    exit_ = fail(Exit::refused, "no proxy " + escaped(command_.subject));
  } else {
    exit_ = fail(Exit::no_answer, "the cluster has no proxy that takes clients");
  }
  return false;
}

void Pinger::begin_probe() {
  ++probes_;
  under_way_ = true;
  began_ = loop_.now();
  timeout_ = loop_.after(command_.timeout, [this] { end_probe(true); });
  if (announced_) return send_ping();
  link_->send(native::encode(native::Announce{.request = probes_,
                                              .client = client_,
                                              .name = "canopy ping",
                                              .software = "canopy " CANOPY_VERSION}));
}

void Pinger::send_ping() {
  sent_ = loop_.now();
  link_->send(native::encode(native::Ping{.request = probes_}));
}

// A reply to an earlier probe is ignored: that probe is lost.
void Pinger::on_frame(std::string_view frame) {
  if (!under_way_ || !native::decode_from_proxy(frame, reply_)) return;
  if (const auto* welcome = std::get_if<native::Welcome>(&reply_)) {
    if (welcome->request != probes_) return;
    announced_ = true;
    send_ping();
  } else if (const auto* pong = std::get_if<native::Pong>(&reply_)) {
    if (pong->request == probes_) on_pong();
  } else if (const auto* written = std::get_if<native::Written>(&reply_)) {
    if (written->number == probes_) on_written();
  } else if (const auto* refusal = std::get_if<native::Refusal>(&reply_)) {
    if (refusal->request == probes_) on_refusal(*refusal);
  }
}

void Pinger::on_refusal(const native::Refusal& refusal) {
  if (wire::retriable(refusal.fault)) return end_probe(true);
  const auto fault = static_cast<unsigned>(refusal.fault);
  exit_ = fail(Exit::refused, refusal_text(Action::ping, fault, refusal.text));
  loop_.stop();
}

void Pinger::on_pong() {
  ping_time_ = loop_.now() - sent_;
  pings_.push_back(ping_time_);
  if (command_.write_key.empty()) return end_probe(false);
  sent_ = loop_.now();
  link_->send(native::encode(wire::WriteRequest{
      .client = client_,
      .number = probes_,
      .settled = probes_,
      .writes = {{.key = command_.write_key, .value = std::to_string(probes_)}}}));
}

void Pinger::on_written() {
  writes_.push_back(loop_.now() - sent_);
  end_probe(false);
}

void Pinger::end_probe(bool lost) {
  under_way_ = false;
  loop_.cancel(timeout_);
  std::string line = "seq=" + std::to_string(probes_);
  if (lost) {
    line += " lost";
    announced_ = false;
    (void)link_->connect(endpoint_);  // valid, as it was before; forgets what is unsent
  } else {
    ++answered_;
    line += " time=" + milliseconds(ping_time_) + " ms";
    if (!command_.write_key.empty()) line += " write=" + milliseconds(writes_.back()) + " ms";
  }
  exit_ = print_result(line + "\n");
  if (exit_ != Exit::ok || probes_ == command_.count) return loop_.stop();
  const base::Duration left = began_ + command_.interval - loop_.now();
  loop_.after(std::max(left, base::Duration::zero()), [this] { begin_probe(); });
}

Exit Pinger::finish() {
  if (exit_ == Exit::broken) return exit_;
  std::string text = "\n--- " + escaped(proxy_) + " ping statistics ---\n" +
                     std::to_string(probes_) + " probes, " + std::to_string(answered_) +
                     " answered\n" + latency_line("round trip", pings_) +
                     latency_line("write", writes_);
  const Exit printed = print_result(text);
  if (printed != Exit::ok || exit_ != Exit::ok) return printed != Exit::ok ? printed : exit_;
  const std::uint64_t open = under_way_ ? 1 : 0;  // when a signal ended it
  return answered_ + open == probes_ && answered_ != 0 ? Exit::ok : Exit::no_answer;
}

}  // namespace canopy::client::cli
