#include "client/session.h"

#include <algorithm>
#include <cassert>

#include "client/checks.h"
#include "core/keyspace/key.h"
#include "core/wire/member.h"

namespace canopy::client {

namespace native = wire::native;
using namespace std::chrono_literals;

constexpr const char* not_watchable = "neither a key nor a subtree (ends with '/')";

Session::Session(Settings settings, Network& network, Events& events)
    : settings_(std::move(settings)),
      network_(network),
      events_(events),
      random_(settings_.seed),
      reads_(events, random_()),
      writes_(settings_.client, events, random_()) {
  assert(settings_.client.size() == native::client_id_bytes);
  assert(!settings_.brokers.empty() || !settings_.proxies.empty());
  if (!is_label(settings_.name)) settings_.name.clear();
  for (const Target& proxy : settings_.proxies) candidates_.push_back({.target = proxy});
  if (!settings_.brokers.empty()) next_broker_ = random_below(settings_.brokers.size());
}

std::uint64_t Session::random_below(std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
}

void Session::start(base::TimePoint now) {
  ticked_ = now;
  seek(now);
}

void Session::close() {
  leave_broker();
  seek_at_.reset();
  if (link_) unlink();
  reads_.close();
  writes_.close();
}

bool Session::has_room(CallId call, std::size_t bytes) {
  if (open_calls() < max_calls && writes_.bytes() + bytes <= max_call_bytes) {
    return true;
  }
  events_.answered(call, refusal(wire::Fault::busy, "too many calls wait already"));
  return false;
}

void Session::write(CallId call, std::vector<wire::Write> writes, base::TimePoint now,
                    base::Duration timeout) {
  if (Answer fault = check(writes); !fault.ok()) return events_.answered(call, std::move(fault));
  std::size_t bytes = 0;
  for (const wire::Write& each : writes) bytes += each.bytes();
  if (!has_room(call, bytes)) return;
  writes_.add(call, std::move(writes), now + timeout);
  serve(now);
}

void Session::get(CallId call, std::string key, base::TimePoint now, base::Duration timeout) {
  if (keyspace::check_key(key) != keyspace::KeyFault::none) {
    return events_.answered(call, refusal(wire::Fault::bad_key, "not a key"));
  }
  read(call, native::Get{.key = std::move(key)}, now, timeout);
}

void Session::list(CallId call, std::string subtree, base::TimePoint now, base::Duration timeout,
                   std::uint64_t limit, ListFilter filter) {
  if (!native::is_watchable(subtree)) {
    return events_.answered(call, refusal(wire::Fault::bad_subtree, not_watchable));
  }
  read(call, native::List{.subtree = std::move(subtree), .limit = limit}, now, timeout,
       std::move(filter));
}

void Session::read(CallId call, Reads::Request request, base::TimePoint now, base::Duration timeout,
                   ListFilter filter) {
  if (!has_room(call, 0)) return;
  reads_.add(call, std::move(request), now + timeout, std::move(filter));
  serve(now);
}

void Session::cancel(CallId call) {
  reads_.cancel(call);
  writes_.cancel(call);
}

void Session::watch(WatchId id, const native::Subscription& subscription, base::TimePoint now) {
  if (!native::is_watchable(subscription.subtree)) {
    return events_.refused(id, refusal(wire::Fault::bad_subtree, not_watchable));
  }
  if (subscription.latest_ms > native::max_latest_ms) {
    return events_.refused(id, refusal(wire::Fault::bad_field, "latest_ms is out of range"));
  }
  const auto [at, is_new] = watches_.try_emplace(id, id, subscription, events_);
  assert(is_new);
  if (!link_) return;
  at->second.start(now);
  due_.emplace(now, id);
  serve(now);
}

void Session::unwatch(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  Watch& watch = found->second;
  if (link_ && !watch.idle()) {
    network_.send(native::encode(native::Unwatch{.request = watch.request()}));
    release(watch);
  }
  watches_.erase(found);
}

void Session::seek(base::TimePoint now) {
  if (!settings_.proxies.empty()) return choose_proxy(now);
  brokers_asked_ = 0;
  ask_next_broker(now);
}

void Session::ask_next_broker(base::TimePoint now) {
  if (brokers_asked_ == settings_.brokers.size()) {
    leave_broker();
    return choose_proxy(now);  // of the proxies that earlier searches found
  }
  ++brokers_asked_;
  broker_request_ = next_request_++;
  broker_due_ = now + broker_timeout;
  network_.ask_broker(settings_.brokers[next_broker_++ % settings_.brokers.size()],
                      native::encode(native::Directory{.request = broker_request_,
                                                       .prefix = wire::proxies_prefix}));
}

void Session::leave_broker() {
  if (!broker_due_) return;
  broker_due_.reset();
  network_.leave_broker();
}

void Session::on_broker(std::string_view frame, base::TimePoint now) {
  const auto answer = native::decode_from_broker(frame);
  if (!answer || !broker_due_) return;
  if (const auto* members = std::get_if<native::Members>(&*answer)) {
    if (members->request != broker_request_) return;
    candidates_ = candidates(*members);
    leave_broker();
    choose_proxy(now);
  } else if (const auto* refused = std::get_if<native::Refusal>(&*answer)) {
    if (refused->request == broker_request_) ask_next_broker(now);
  }
}

void Session::choose_proxy(base::TimePoint now) {
  auto target = choose(candidates_, avoid_, random_);
  const std::string first = std::exchange(settings_.first, {});
  for (const Candidate& each : candidates_) {
    if (each.target.name == first) target = each.target;
  }
  if (!target || (link_ && link_->target == *target)) return seek_later(now);
  link(*target, now);
}

void Session::seek_later(base::TimePoint now) { seek_at_ = now + back_off(); }

// Doubles with each failure in a row; jittered between half of it and the whole.
base::Duration Session::back_off() {
  const base::Duration full =
      std::min(most_back_off, least_back_off * (1 << std::min(failures_++, 10)));
  const base::Duration half = full / 2;
  return half + base::Duration(random_below(static_cast<std::uint64_t>(half.count()) + 1));
}

void Session::link(Target target, base::TimePoint now) {
  if (link_) unlink();
  network_.connect(target);
  link_ = Link{.target = std::move(target), .liveness = Liveness(now), .progress = now};
  network_.send(native::encode(native::Announce{.request = next_request_++,
                                                .client = settings_.client,
                                                .name = settings_.name,
                                                .software = "canopy " CANOPY_VERSION}));
  for (auto& [id, watch] : watches_) {
    watch.start(now);
    due_.emplace(now, id);
  }
  reads_.resend(now);
  writes_.resend(now);
  serve(now);
}

void Session::unlink() {
  avoid_ = link_->target.name;
  link_.reset();
  due_.clear();
  requests_.clear();
  joining_.clear();
  streams_.clear();
  network_.disconnect();
}

void Session::lose(base::TimePoint now) {
  unlink();
  leave_broker();
  if (contact_) events_.contact(contact_ = false);
  seek_later(now);
}

void Session::hear(std::size_t bytes, base::TimePoint now) {
  // Catching up may take long, but shows that the proxy serves us.
  const bool answers = !std::holds_alternative<native::Batch>(message_) &&
                       !std::holds_alternative<native::Move>(message_);
  link_->liveness.on_frame(bytes, answers, now);
  if (!link_->move_at) failures_ = 0;
  if (!contact_) events_.contact(contact_ = true);
}

void Session::leave_soon(base::Duration within, base::TimePoint now) {
  if (link_->move_at) return;
  link_->move_at =
      now + base::Duration(random_below(static_cast<std::uint64_t>(within.count()) + 1));
}

void Session::on_message(std::string_view frame, base::TimePoint now) {
  if (!link_ || !native::decode_from_proxy(frame, message_)) return;
  hear(frame.size(), now);
  if (const auto* batch = std::get_if<native::Batch>(&message_)) return on(*batch, now);
  std::visit([&](const auto& each) { on(each, now); }, message_);
  serve(now);
}

void Session::on(const native::Move& move, base::TimePoint now) {
  leave_soon(std::chrono::milliseconds(move.within_ms), now);
}

void Session::on(const native::Chunk& chunk, base::TimePoint now) {
  Watch* const watch = find(chunk.header.request);
  if (watch == nullptr) return reads_.on_chunk(chunk);
  if (!watch->on_chunk(chunk, now)) return ask_again(*watch, now);
  link_->progress = now;
}

void Session::on(const native::CaughtUp& caught_up, base::TimePoint now) {
  Watch* const watch = find(caught_up.request);
  if (watch == nullptr) return;
  if (!watch->on_caught_up(caught_up, now)) return ask_again(*watch, now);
  link_->progress = now;
  joining_.erase(caught_up.request);
  streams_[caught_up.stream].push_back(watch);
}

void Session::on(const native::Gap& gap, base::TimePoint now) {
  Watch* const watch = find(gap.request);
  if (watch == nullptr) return;
  leave_stream(*watch);
  watch->on_gap(gap, now);
}

void Session::on(const native::Batch& batch, base::TimePoint now) {
  const auto stream = streams_.find(batch.header.stream);
  if (stream == streams_.end()) return;  // no longer watched
  std::vector<Watch*> torn;
  for (Watch* watch : stream->second) {
    if (!watch->on_batch(batch)) torn.push_back(watch);
  }
  for (Watch* watch : torn) ask_again(*watch, now);
}

void Session::on(const native::Refusal& refusal, base::TimePoint now) {
  if (refusal.fault == wire::Fault::draining) leave_soon({}, now);
  switch (static_cast<native::Kind>(refusal.of)) {
    case native::Kind::write: return writes_.on_refusal(refusal, now);
    case native::Kind::get:
    case native::Kind::list: return reads_.on_refusal(refusal, now);
    case native::Kind::watch:
      if (Watch* const watch = find(refusal.request)) refuse(*watch, refusal, now);
      return;
    default: return;
  }
}

// The proxy has forgotten the watch.
void Session::refuse(Watch& watch, const native::Refusal& refusal, base::TimePoint now) {
  release(watch);
  if (wire::retriable(refusal.fault)) return ask_later(watch, now);
  const WatchId id = watch.id();
  watches_.erase(id);
  events_.refused(id, {.number = static_cast<unsigned>(refusal.fault), .text = refusal.text});
}

void Session::serve(base::TimePoint now) {
  if (!link_) return;
  for (std::string& frame : writes_.due(now)) network_.send(std::move(frame));
  for (std::string& frame : reads_.due(next_request_, now)) network_.send(std::move(frame));
  while (joining_.size() < max_joining && !due_.empty() && due_.begin()->first <= now) {
    const auto found = watches_.find(due_.extract(due_.begin()).value().second);
    if (found != watches_.end() && found->second.idle()) ask(found->second, now);
  }
}

void Session::ask(Watch& watch, base::TimePoint now) {
  const std::uint64_t request = next_request_++;
  requests_.emplace(request, &watch);
  joining_.insert(request);
  network_.send(native::encode(watch.ask(request, now)));
}

void Session::ask_again(Watch& watch, base::TimePoint now) {
  network_.send(native::encode(native::Unwatch{.request = watch.request()}));
  release(watch);
  ask_later(watch, now);
}

void Session::ask_later(Watch& watch, base::TimePoint now) {
  const base::TimePoint at = now + 50ms + base::Duration(random_below(50'000));
  watch.restart(at);
  due_.emplace(at, watch.id());
}

Watch* Session::find(std::uint64_t request) {
  const auto found = requests_.find(request);
  return found == requests_.end() ? nullptr : found->second;
}

// Nothing that still comes for it is taken.
void Session::release(Watch& watch) {
  leave_stream(watch);
  joining_.erase(watch.request());
  requests_.erase(watch.request());
}

void Session::leave_stream(Watch& watch) {
  const auto stream = streams_.find(watch.stream());
  if (stream == streams_.end()) return;
  std::erase(stream->second, &watch);
  if (stream->second.empty()) streams_.erase(stream);
}

void Session::on_disconnected(base::TimePoint now) {
  if (link_) lose(now);
}

void Session::tick(base::TimePoint now) {
  postpone_by_sleep(now);
  if (link_ && (link_->liveness.lost(now) || is_stuck(now))) lose(now);
  seek_when_due(now);
  if (link_) ping_when_due(now);
  writes_.expire(now);
  reads_.expire(now);
  serve(now);
}

// Each second, for there may be many watches.
bool Session::is_stuck(base::TimePoint now) {
  if (now - watched_ < 1s) return false;
  watched_ = now;
  return std::any_of(watches_.begin(), watches_.end(),
                     [&](const auto& each) { return each.second.stuck(link_->progress, now); });
}

void Session::ping_when_due(base::TimePoint now) {
  const bool owed = writes_.unanswered() + reads_.unanswered() + joining_.size() > 0;
  if (!link_->liveness.start_ping(owed, now)) return;
  network_.send(native::encode(native::Ping{.request = next_request_++}));
}

void Session::seek_when_due(base::TimePoint now) {
  if (broker_due_) {
    if (now >= *broker_due_) ask_next_broker(now);
  } else if (seek_at_) {
    if (now < *seek_at_) return;
    seek_at_.reset();
    seek(now);
  } else if (link_ && link_->move_at && now >= *link_->move_at) {
    avoid_ = link_->target.name;
    seek(now);
  }
}

// A process that was stopped, or short of a processor, reads late: its peers did send in time.
void Session::postpone_by_sleep(base::TimePoint now) {
  const base::Duration sleep = now - std::exchange(ticked_, now);
  if (sleep < std::chrono::seconds(1)) return;
  if (link_) {
    link_->liveness.postpone(sleep);
    link_->progress += sleep;
  }
  if (broker_due_) *broker_due_ += sleep;
  for (auto& [id, watch] : watches_) watch.postpone(sleep);
  writes_.postpone(sleep);
}

}  // namespace canopy::client
