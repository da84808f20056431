#include "core/coordination/local.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/coordination/messages.h"

namespace canopy::coordination {
namespace {

constexpr base::Duration longest_ping_period = std::chrono::seconds(1);
constexpr base::Duration shortest_ping_period = std::chrono::milliseconds(10);
constexpr std::uint64_t longest_lease_us = 3'600'000'000;
constexpr base::Duration hello_period = std::chrono::seconds(1);
// Between tries while there is no connection to say hello on.
constexpr base::Duration connect_period = std::chrono::milliseconds(50);
// After a refusal that may pass, such as a full directory.
constexpr base::Duration retry_period = std::chrono::seconds(5);
constexpr std::size_t max_pending_swaps = base::max_partitions;  // one of each record
constexpr int messages_per_turn = 1024;

std::string random_session() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

std::string text_of(const cluster::Failed& failed) {
  std::string text(cluster::to_text(failed.fault));
  return failed.subject.empty() ? text : text + ": " + failed.subject;
}

net::SocketOptions socket_options(const std::string& session) {
  return {.send_hwm = 10'000,
          .receive_hwm = 10'000,
          .max_frame_bytes = max_message_bytes,
          .linger = std::chrono::milliseconds(200),  // for the goodbye
          .routing_id = session,
          .immediate = true};  // what is said to nobody must not wait for a later broker
}

class LocalCoordinator final : public CampaignCoordinator {
 public:
  LocalCoordinator(net::Context& context, net::Loop& loop, const std::string& broker_endpoint,
                   const std::string& candidate, const access::KeyPair* keys,
                   const std::string& identity)
      : loop_(loop),
        name_(candidate),
        identity_(identity),
        socket_(context, net::SocketType::dealer,
                net::connecting(socket_options(random_session()), keys)) {
    if (const auto status = socket_.connect(broker_endpoint); !status) {
      base::log::error("coordination", status.error());
    }
    loop_.on_readable(socket_, [this] { receive(); });
    wake_at(loop_.now());
  }

  ~LocalCoordinator() override {
    loop_.cancel(timer_);
    loop_.remove(socket_);
  }

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
    say(Announce{key, value});
  }

  void campaign(const std::string& partition, std::uint32_t least_epoch, Granted granted) override {
    Candidacy& candidacy = candidacies_[partition];
    candidacy.least_epoch = least_epoch;
    if (least_epoch > 0) learn(least_epoch - 1);
    candidacy.granted = std::move(granted);
    candidacy.told = false;
    say(Campaign{partition, least_epoch, candidacy.held});
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
    say(message);
  }

  void watch(const std::string& prefix, Watcher watcher) override {
    watches_.push_back({prefix, std::move(watcher), {}, {}});
    say(Watch{prefix});
  }

  void resign() override {
    announced_.clear();
    candidacies_.clear();
    held_.resign();
    say(Resign{});
  }

  bool connected() const override { return heard_ && loop_.now() - *heard_ < lease_; }

  std::optional<base::TimePoint> deadline() const override { return held_.deadline(); }

  std::string refusal() const override { return refusal_; }

 private:
  struct Candidacy {
    std::uint32_t least_epoch = 0;
    std::uint32_t held = 0;  // 0: not leading
    bool told = false;       // the callback knows that `held` is held
    Granted granted;
  };
  struct Swap {
    CompareAndSet message;
    Swapped swapped;
  };
  struct Known {
    std::uint64_t version = 0;
    bool confirmed = true;  // told since the last welcome
  };
  struct Watched {
    std::string prefix;
    Watcher watcher;
    std::map<std::string, Known> known;
    std::optional<base::TimePoint> doubt_ends;  // unconfirmed keys are gone then
  };

  // Says `request` if the session stands; else it is said at the welcome.
  void say(const Request& request) {
    if (live_ && !send(request)) greet_at(loop_.now());
  }

  bool send(const Request& request) {
    return socket_.send_frame(encode(request, ++sent_), false) == net::SendResult::sent;
  }

  // The session is no longer what either side thinks: start over.
  void greet_at(base::TimePoint when) {
    live_ = false;
    wake_at(when);
  }

  void wake_at(base::TimePoint when) {
    loop_.cancel(timer_);
    timer_ = loop_.after(std::max(when - loop_.now(), base::Duration{0}), [this] { wake(); });
  }

  void wake() {
    const base::TimePoint now = loop_.now();
    if (say_again_ && now >= *say_again_) live_ = false;
    if (live_) {
      wake_at(now + ping_period_);
      held_.asked(sent_ + 1, now);
      say(Ping{});
      for (Watched& watch : watches_) end_doubt(watch, now);
    } else {
      say_again_.reset();
      if (known_elsewhere_) learn(known_elsewhere_());
      held_.asked(sent_ + 1, now);
      const bool sent = send(Hello{name_, generation_, known_, record_, identity_});
      wake_at(now + (sent ? hello_period : connect_period));
    }
  }

  void learn(std::uint32_t number) { known_ = std::max(known_, number); }

  void adopt(std::uint32_t generation) {
    if (generation <= generation_) return;
    generation_ = generation;
    learn(generation);
    if (generation_granted_) generation_granted_(generation);
  }

  void receive() {
    for (int i = 0; i < messages_per_turn && socket_.receive(message_); ++i) {
      const auto reply = message_.size() == 1
                             ? decode_reply(message_[0])
                             : base::Result<Numbered<Reply>>(base::Error{"not one frame"});
      if (!reply) {
        strange_.warn("coordination", "malformed answer", {{"why", reply.error()}});
        continue;
      }
      heard_from(*reply);
    }
  }

  void heard_from(const Numbered<Reply>& reply) {
    if (const auto* welcome = std::get_if<Welcome>(&reply.body)) {
      received_ =
          reply.number;  // the first, if hello was said twice: both sides count anew each time
      if (!live_) on(*welcome);
      return;
    }
    if (!live_) {  // all but a refusal is of the session before, and will be told again
      if (const auto* failed = std::get_if<cluster::Failed>(&reply.body)) on(*failed);
      return;
    }
    if (reply.number != 0 && reply.number != ++received_) return greet_at(loop_.now());
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
    wake_at(loop_.now() + ping_period_);
    for (const auto& [key, value] : announced_) say(Announce{key, value});
    for (const auto& [partition, candidacy] : candidacies_) {
      say(Campaign{partition, candidacy.least_epoch, candidacy.held});
    }
    for (Watched& watch : watches_) {
      for (auto& [key, known] : watch.known) known.confirmed = false;
      watch.doubt_ends.reset();
      say(Watch{watch.prefix});
    }
    for (const auto& [request, swap] : swaps_) say(swap.message);
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
      if (watch.prefix == watched.prefix) watch.doubt_ends = loop_.now() + longest_lease_;
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

  void on(const cluster::Granted& granted) {
    const auto found = candidacies_.find(granted.partition);
    learn(granted.epoch);
    if (found == candidacies_.end()) return;
    Candidacy& candidacy = found->second;
    if (candidacy.told && candidacy.held == granted.epoch) return;
    const auto callback = candidacy.granted;  // which may campaign anew
    const bool regained = candidacy.told;
    candidacy.held = granted.epoch;
    candidacy.told = true;
    if (regained) callback(std::nullopt);
    if (candidacies_.contains(granted.partition)) callback(granted.epoch);
  }

  void on(const cluster::Lost& lost) {
    const auto found = candidacies_.find(lost.partition);
    if (found != candidacies_.end()) lose(found->second);
  }

  void lose(Candidacy& candidacy) {
    candidacy.held = 0;
    if (!std::exchange(candidacy.told, false)) return;
    const auto callback = candidacy.granted;
    callback(std::nullopt);
  }

  void on(const cluster::Swapped& result) {
    auto swap = swaps_.extract(result.request);
    if (swap) swap.mapped().swapped(result.swapped);
  }

  void on(const cluster::Failed& failed) {
    if (failed.fault == cluster::Fault::unknown_session) {
      if (live_) greet_at(loop_.now());
      return;
    }
    refused_.warn("coordination", cluster::to_text(failed.fault), {{"subject", failed.subject}});
    if (!live_) refusal_ = text_of(failed);
    if (failed.fault == cluster::Fault::superseded || failed.fault == cluster::Fault::name_taken) {
      if (live_) greet_at(loop_.now() + hello_period);
      std::vector<std::string> held;
      for (const auto& [partition, candidacy] : candidacies_) held.push_back(partition);
      for (const std::string& partition : held) on(cluster::Lost{partition});
    } else if (live_) {
      say_again_ = loop_.now() + retry_period;
    }
  }

  net::Loop& loop_;
  const std::string name_;
  const std::string identity_;
  net::Socket socket_;
  net::Message message_;
  net::Loop::TimerId timer_ = 0;

  bool live_ = false;  // welcomed, and nothing lost since
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::optional<base::TimePoint> say_again_;  // after a refusal
  std::optional<base::TimePoint> heard_;
  cluster::Lease held_;
  base::Duration lease_{};
  base::Duration longest_lease_{};  // so long a process may hold its lease of an earlier broker
  base::Duration ping_period_ = longest_ping_period;
  std::string refusal_;

  std::uint32_t generation_ = 0;  // 0: not granted yet
  std::uint32_t known_ = 0;       // the highest generation or epoch that is known of
  std::string record_;            // of the directory that registered this process last
  Generation generation_granted_;
  std::function<std::uint32_t()> known_elsewhere_;

  std::map<std::string, std::string> announced_;
  std::map<std::string, Candidacy> candidacies_;
  std::deque<Watched> watches_;  // grows at its end only: references stay
  std::map<std::uint64_t, Swap> swaps_;
  std::uint64_t last_request_ = 0;
  base::log::RateLimited strange_;
  base::log::RateLimited refused_;
};

}  // namespace

std::unique_ptr<CampaignCoordinator> make_local_coordinator(net::Context& context, net::Loop& loop,
                                                            const std::string& broker_endpoint,
                                                            const std::string& candidate,
                                                            const access::KeyPair* keys,
                                                            const std::string& identity) {
  return std::make_unique<LocalCoordinator>(context, loop, broker_endpoint, candidate, keys,
                                            identity);
}

}  // namespace canopy::coordination
