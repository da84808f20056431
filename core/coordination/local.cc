#include "core/coordination/local.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/coordination/messages.h"
#include "core/net/connector.h"

namespace canopy::coordination {
namespace {

constexpr base::Duration longest_ping_period = std::chrono::seconds(1);
constexpr base::Duration shortest_ping_period = std::chrono::milliseconds(10);
constexpr std::uint64_t longest_lease_us = 3'600'000'000;
constexpr base::Duration register_period = std::chrono::seconds(1);
// After a refusal that may pass, such as a full directory.
constexpr base::Duration retry_period = std::chrono::seconds(5);
constexpr std::size_t max_pending_swaps = base::max_partitions;  // one of each record
// Bound of the bytes that wait for a broker that does not read; beyond it the process registers
// again.
constexpr std::size_t max_queued_bytes = cluster::max_directory_bytes;

std::string random_session() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

std::string text_of(const cluster::Failed& failed) {
  std::string text(cluster::to_text(failed.fault));
  return failed.subject.empty() ? text : text + ": " + failed.subject;
}

net::ConnectorSettings connector_settings(const access::KeyPair* keys) {
  return {.connection = {.peer = {.type = zmtp::SocketType::dealer,
                                  .limits = {.frame_bytes = max_message_bytes},
                                  .routing_id = random_session()}},
          .curve = net::curve_client(keys),
          .linger = std::chrono::milliseconds(200)};  // for Resign
}

class LocalCoordinator final : public Coordinator, private net::ConnectionEvents {
 public:
  LocalCoordinator(net::Loop& loop, const std::string& broker_endpoint, const std::string& name,
                   const access::KeyPair* keys, const std::string& identity)
      : loop_(loop),
        name_(name),
        identity_(identity),
        server_(loop),
        connector_(server_, connector_settings(keys), static_cast<net::ConnectionEvents&>(*this)) {
    if (const auto status = connector_.connect(broker_endpoint); !status) {
      base::log::error("coordination", status.error());
    }
  }

  ~LocalCoordinator() override { loop_.cancel(timer_); }

  std::string service() const override { return "broker"; }

  void on_generation(Generation granted) override { generation_granted_ = std::move(granted); }

  void report_known(std::function<std::uint32_t()> known) override {
    known_elsewhere_ = std::move(known);
  }

  void announce(const std::string& key, const std::string& value) override {
    if (value.size() > cluster::max_directory_value_bytes) {
      base::log::error("coordination", "value too long to announce", {{"key", key}});
      return;
    }
    announced_[key] = value;
    held_.take_up();
    send_if_live(Announce{key, value});
  }

  void compare_and_set(const std::string& key, const std::string& value, std::uint64_t expected,
                       Swapped swapped) override {
    if (swaps_.size() >= max_pending_swaps || value.size() > cluster::max_directory_value_bytes) {
      loop_.after({}, [swapped = std::move(swapped)] { swapped(false); });
      return;
    }
    const std::uint64_t request = ++last_request_;
    const CompareAndSet& message =
        swaps_.emplace(request, Swap{{request, key, value, expected}, std::move(swapped)})
            .first->second.message;
    send_if_live(message);
  }

  void watch(const std::string& prefix, Watcher watcher, Listed listed) override {
    watches_.push_back({prefix, std::move(watcher), std::move(listed), {}, {}});
    send_if_live(Watch{prefix});
  }

  void resign() override {
    announced_.clear();
    held_.resign();
    send_if_live(Resign{});
  }

  bool connected() const override { return heard_ && loop_.now() - *heard_ < lease_; }

  std::optional<base::TimePoint> deadline() const override { return held_.deadline(); }

  std::string refusal() const override { return refusal_; }

 private:
  struct Swap {
    CompareAndSet message;
    Swapped swapped;
  };
  struct Known {
    std::uint64_t version = 0;
    bool confirmed = true;  // received since the last Welcome
  };
  struct Watched {
    std::string prefix;
    Watcher watcher;
    Listed listed;
    std::map<std::string, Known> known;
    std::optional<base::TimePoint> doubt_ends;  // unconfirmed keys are gone then
  };

  // Sends `message` while the session is open. On Welcome everything is sent anyway.
  void send_if_live(const Request& message) {
    if (live_ && !send(message)) register_at(loop_.now());
  }

  bool send(const Request& request) {
    net::Connection* connection = connector_.connection();
    if (connection == nullptr || connection->queued_bytes() >= max_queued_bytes) return false;
    connection->send(std::array<std::string_view, 1>{encode(request, ++sent_)});
    server_.send_queued();  // the turn may end only after a commit to a slow disk
    return true;
  }

  // The two sides disagree about the session: register again.
  void register_at(base::TimePoint when) {
    live_ = false;
    wake_at(when);
  }

  void wake_at(base::TimePoint when) {
    loop_.cancel(timer_);
    timer_ = loop_.after(std::max(when - loop_.now(), base::Duration{0}), [this] { wake(); });
  }

  void wake() {
    const base::TimePoint now = loop_.now();
    if (register_again_ && now >= *register_again_) live_ = false;
    if (live_) {
      wake_at(net::Loop::next_period(now, ping_period_));
      held_.asked(sent_ + 1, now);
      send_if_live(Ping{});
      for (Watched& watch : watches_) end_doubt(watch, now);
    } else {
      register_again_.reset();
      if (known_elsewhere_) learn(known_elsewhere_());
      held_.asked(sent_ + 1, now);
      wake_at(now + register_period);
      (void)send(Register{name_, generation_, known_, record_, identity_});  // or at on_ready()
    }
  }

  void learn(std::uint32_t number) { known_ = std::max(known_, number); }

  void adopt(std::uint32_t generation) {
    if (generation <= generation_) return;
    generation_ = generation;
    learn(generation);
    if (generation_granted_) generation_granted_(generation);
  }

  void on_ready(net::Connection&) override { wake_at(loop_.now()); }

  void on_closed(net::Connection&, std::string_view reason) override {
    live_ = false;
    if (reason != "peer") held_.closed_here(loop_.now());
  }

  void on_message(net::Connection&, std::span<const std::string_view> parts) override {
    const auto reply = parts.size() == 1
                           ? decode_reply(parts[0])
                           : base::Result<Numbered<Reply>>(base::Error{"not one frame"});
    if (reply) return heard_from(*reply);
    strange_.warn("coordination", "malformed answer", {{"why", reply.error()}});
  }

  void heard_from(const Numbered<Reply>& reply) {
    if (const auto* welcome = std::get_if<Welcome>(&reply.body)) {
      received_ = reply.number;  // both sides count anew from each Welcome
      if (!live_) on(*welcome);
      return;
    }
    if (!live_) {  // all but a refusal is of the previous session, and will be sent again
      if (const auto* failed = std::get_if<cluster::Failed>(&reply.body)) on(*failed);
      return;
    }
    if (reply.number != 0 && reply.number != ++received_) return register_at(loop_.now());
    heard_ = loop_.now();
    std::visit([this](const auto& body) { on(body); }, reply.body);
  }

  void on(const Welcome& welcome) {
    adopt(welcome.generation);
    record_ = welcome.record;
    live_ = true;
    heard_ = loop_.now();
    refusal_.clear();
    lease_ =
        base::Duration(static_cast<std::int64_t>(std::min(welcome.lease_us, longest_lease_us)));
    held_.answered(welcome.answers, lease_);
    longest_lease_ = std::max(longest_lease_, lease_);
    ping_period_ = std::clamp(lease_ / 3, shortest_ping_period, longest_ping_period);
    wake_at(net::Loop::next_period(loop_.now(), ping_period_));
    for (const auto& [key, value] : announced_) send_if_live(Announce{key, value});
    for (Watched& watch : watches_) {
      for (auto& [key, known] : watch.known) known.confirmed = false;
      watch.doubt_ends.reset();
      send_if_live(Watch{watch.prefix});
    }
    for (const auto& [request, swap] : swaps_) send_if_live(swap.message);
  }

  void on(const Pong& pong) { held_.answered(pong.answers, lease_); }

  void on(const cluster::Renewed& renewed) { adopt(renewed.generation); }

  void on(const cluster::KeyChanged& change) {
    learn(static_cast<std::uint32_t>(change.version >> cluster::DirectoryRecord::counter_bits));
    const std::size_t count = watches_.size();
    for (std::size_t i = 0; i < count; ++i) {  // by index: watchers may add watches
      Watched& watch = watches_.at(i);
      if (!change.key.starts_with(watch.prefix)) continue;
      const auto known = watch.known.find(change.key);
      if (!change.value) {
        if (known == watch.known.end()) continue;
        watch.known.erase(known);
      } else {
        const bool news = known == watch.known.end() || known->second.version != change.version;
        watch.known[change.key] = {change.version, true};
        if (!news) continue;
      }
      watch.watcher({change.key, change.value, change.version});
    }
  }

  void on(const cluster::Watched& watched) {
    for (Watched& watch : watches_) {
      if (watch.prefix != watched.prefix) continue;
      watch.doubt_ends = loop_.now() + longest_lease_;
      if (watch.listed) watch.listed();
    }
  }

  void end_doubt(Watched& watch, base::TimePoint now) {
    if (!watch.doubt_ends || now < *watch.doubt_ends) return;
    watch.doubt_ends.reset();
    std::vector<Event> gone;
    for (const auto& [key, known] : watch.known) {
      if (!known.confirmed) gone.push_back({key, std::nullopt, known.version});
    }
    for (const Event& event : gone) watch.known.erase(event.key);
    for (const Event& event : gone) watch.watcher(event);
  }

  void on(const cluster::Swapped& result) {
    auto swap = swaps_.extract(result.request);
    if (swap) swap.mapped().swapped(result.swapped);
  }

  void on(const cluster::Failed& failed) {
    if (failed.fault == cluster::Fault::unknown_session) {
      if (live_) register_at(loop_.now());
      return;
    }
    refused_.warn("coordination", cluster::to_text(failed.fault), {{"subject", failed.subject}});
    if (!live_) refusal_ = text_of(failed);
    if (failed.fault == cluster::Fault::superseded || failed.fault == cluster::Fault::name_taken) {
      if (live_) register_at(loop_.now() + register_period);
    } else if (live_) {
      register_again_ = loop_.now() + retry_period;
    }
  }

  net::Loop& loop_;
  const std::string name_;
  const std::string identity_;
  net::Connections server_;
  net::Connector connector_;
  net::Loop::TimerId timer_ = 0;

  bool live_ = false;  // registered, and no message lost since
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::optional<base::TimePoint> register_again_;  // after a refusal
  std::optional<base::TimePoint> heard_;
  cluster::Lease held_;
  base::Duration lease_{};
  base::Duration longest_lease_{};  // a process may hold its lease of an earlier broker for so long
  base::Duration ping_period_ = longest_ping_period;
  std::string refusal_;

  std::uint32_t generation_ = 0;  // 0: not granted yet
  std::uint32_t known_ = 0;       // the highest generation or epoch known
  std::string record_;            // of the directory that registered this process last
  Generation generation_granted_;
  std::function<std::uint32_t()> known_elsewhere_;

  std::map<std::string, std::string> announced_;
  std::deque<Watched> watches_;  // grows at its end only: references stay valid
  std::map<std::uint64_t, Swap> swaps_;
  std::uint64_t last_request_ = 0;
  base::log::RateLimited strange_;
  base::log::RateLimited refused_;
};

}  // namespace

std::unique_ptr<Coordinator> make_local_coordinator(net::Loop& loop,
                                                    const std::string& broker_endpoint,
                                                    const std::string& name,
                                                    const access::KeyPair* keys,
                                                    const std::string& identity) {
  return std::make_unique<LocalCoordinator>(loop, broker_endpoint, name, keys, identity);
}

}  // namespace canopy::coordination
