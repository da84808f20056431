#include "client/session.h"

#include <algorithm>
#include <cassert>

#include "client/checks.h"
#include "core/keyspace/key.h"

namespace canopy::client {
namespace {

namespace native = wire::native;

}  // namespace

Session::Session(Settings settings, Network& network, Events& events)
    : settings_(std::move(settings)),
      network_(network),
      events_(events),
      random_(settings_.seed),
      reads_(events, random_()),
      writes_(settings_.client, events, random_()) {
  assert(settings_.client.size() == native::client_id_bytes);
  assert(!settings_.brokers.empty() || !settings_.proxies.empty());
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

// --- what the user wants -----------------------------------------------------------------------

bool Session::has_room(CallId call, std::size_t bytes) {
  if (reads_.size() + writes_.size() < max_calls && writes_.bytes() + bytes <= max_call_bytes) {
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
  read(call, std::move(key), now, timeout, Extent::key);
}

void Session::read(CallId call, std::string subtree, base::TimePoint now, base::Duration timeout,
                   Extent extent) {
  if (!native::is_watchable(subtree)) {
    return events_.answered(
        call, refusal(wire::Fault::bad_subtree, "neither a key nor a subtree (ends with '/')"));
  }
  if (!has_room(call, 0)) return;
  reads_.add(call, std::move(subtree), extent, now + timeout);
  serve(now);
}

void Session::watch(WatchId id, const native::Subscription& subscription, base::TimePoint now) {
  if (!native::is_watchable(subscription.subtree)) {
    return events_.refused(
        id, refusal(wire::Fault::bad_subtree, "neither a key nor a subtree (ends with '/')"));
  }
  if (subscription.latest_ms > native::max_latest_ms) {
    return events_.refused(id, refusal(wire::Fault::bad_field, "latest_ms is out of range"));
  }
  const auto [at, is_new] = watches_.try_emplace(id, id, subscription, events_, random_());
  assert(is_new);
  if (link_) listen(at->second, now);
}

void Session::unwatch(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  forget(found->second);
  watches_.erase(found);
}

void Session::listen(Watch& watch, base::TimePoint now) {
  const auto [at, is_new] = streams_.try_emplace(watch.topic());
  Stream& stream = at->second;
  if (is_new) {
    stream.heard = now;
    stream.at = by_silence_.insert(by_silence_.end(), &stream);
    network_.subscribe(watch.topic());
  }
  stream.watches.push_back(&watch);
  watch.listen(stream.flowing, now);
  serve(watch, now);
}

void Session::forget(Watch& watch) {
  fetches_.erase(watch.request());
  const auto stream = streams_.find(watch.topic());
  if (stream == streams_.end()) return;
  std::erase(stream->second.watches, &watch);
  if (stream->second.fetching == &watch) stream->second.fetching = nullptr;
  if (!stream->second.watches.empty()) return;
  by_silence_.erase(stream->second.at);
  streams_.erase(stream);
  network_.unsubscribe(watch.topic());
}

// --- finding a proxy ---------------------------------------------------------------------------

void Session::seek(base::TimePoint now) {
  if (!settings_.proxies.empty()) return choose_proxy(now);
  brokers_asked_ = 0;
  ask_next_broker(now);
}

void Session::ask_next_broker(base::TimePoint now) {
  if (brokers_asked_ == settings_.brokers.size()) {
    leave_broker();
    return choose_proxy(now);  // of those that it knows from earlier
  }
  ++brokers_asked_;
  broker_request_ = next_request_++;
  broker_due_ = now + broker_silence;
  network_.ask_broker(
      settings_.brokers[next_broker_++ % settings_.brokers.size()],
      native::encode(native::Directory{.request = broker_request_, .prefix = "proxies/"}));
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
  const auto target = choose(candidates_, avoid_, random_);
  if (!target || (link_ && link_->target == *target)) return seek_later(now);
  link(*target, now);
}

void Session::seek_later(base::TimePoint now) { seek_at_ = now + back_off(); }

// Doubles with each failure in a row; between half of that and all of it.
base::Duration Session::back_off() {
  const base::Duration full =
      std::min(most_back_off, least_back_off * (1 << std::min(failures_++, 10)));
  const base::Duration half = full / 2;
  return half + base::Duration(random_below(static_cast<std::uint64_t>(half.count()) + 1));
}

void Session::link(Target target, base::TimePoint now) {
  if (link_) unlink();
  network_.connect(target);
  link_.emplace(std::move(target));
  for (auto& [id, watch] : watches_) listen(watch, now);
  reads_.resend(now);
  writes_.resend(now);
  serve(now);
}

void Session::unlink() {
  avoid_ = link_->target.name;
  link_.reset();
  by_silence_.clear();
  streams_.clear();
  fetches_.clear();
  queue_.clear();
  queued_.clear();
  for (auto& [id, watch] : watches_) watch.rest();
  network_.disconnect();
}

void Session::lose(base::TimePoint now) {
  unlink();
  leave_broker();
  if (contact_) events_.contact(contact_ = false);
  seek_later(now);
}

void Session::hear() {
  link_->answer_due.reset();
  if (!link_->move_at) failures_ = 0;
  if (!contact_) events_.contact(contact_ = true);
}

void Session::leave_soon(base::Duration within, base::TimePoint now) {
  if (link_->move_at) return;
  link_->move_at =
      now + base::Duration(random_below(static_cast<std::uint64_t>(within.count()) + 1));
}

bool Session::is_lost(base::TimePoint now) const {
  if (link_->answer_due && now >= *link_->answer_due) return true;
  return !by_silence_.empty() && now - by_silence_.front()->heard >= stream_silence;
}

// --- what arrives ------------------------------------------------------------------------------

void Session::on_stream(std::string_view frame, base::TimePoint now) {
  if (!link_) return;
  const auto found = streams_.find(native::topic_of(frame));
  if (found == streams_.end()) return;  // no longer watched
  const auto move = native::decode_stream(frame, batch_);
  if (!move) return;
  hear();
  Stream& stream = found->second;
  stream.heard = now;
  by_silence_.splice(by_silence_.end(), by_silence_, stream.at);
  if (*move) return leave_soon(std::chrono::milliseconds((*move)->within_ms), now);
  stream.flowing = true;
  for (Watch* watch : stream.watches) {
    const bool fetched = watch->fetching();
    watch->on_batch(batch_, frame, now);
    settle(*watch, fetched);
    serve(*watch, now);
  }
}

void Session::on_answer(std::string_view frame, base::TimePoint now) {
  if (!link_) return;
  const auto answer = native::decode_from_proxy(frame);
  if (!answer) return;
  hear();
  std::visit([&](const auto& each) { on(each, now); }, *answer);
  serve(now);
}

void Session::on(const native::Written& written, base::TimePoint) { writes_.on_written(written); }

void Session::on(const native::Chunk& chunk, base::TimePoint now) {
  const std::uint64_t request = chunk.header.request;
  const auto found = fetches_.find(request);
  if (found == fetches_.end()) {
    if (reads_.on_chunk(chunk, now)) grant(request, now);
    return;
  }
  Watch& watch = *found->second;
  if (watch.on_chunk(chunk, now)) return grant(request, now);
  settle(watch, true);
  serve_all(watch.topic(), now);
}

void Session::on(const native::Refusal& refusal, base::TimePoint now) {
  if (refusal.fault == wire::Fault::draining) leave_soon({}, now);
  const auto found = fetches_.find(refusal.request);
  if (found == fetches_.end()) {
    if (!writes_.on_refusal(refusal, now)) reads_.on_refusal(refusal, now);
    return;
  }
  Watch& watch = *found->second;
  if (wire::retriable(refusal.fault)) {
    watch.on_refusal(refusal.fault, now);
    return settle(watch, true);
  }
  const WatchId id = watch.id();
  unwatch(id);
  events_.refused(id, {.number = static_cast<unsigned>(refusal.fault), .text = refusal.text});
}

void Session::send(std::string frame, base::TimePoint answer_due) {
  link_->answer_due = std::min(link_->answer_due.value_or(answer_due), answer_due);
  network_.send(std::move(frame));
}

void Session::grant(std::uint64_t request, base::TimePoint now) {
  send(native::encode(native::Credit{.request = request, .chunks = 1}), now + fetch_silence);
}

void Session::serve(base::TimePoint now) {
  if (!link_) return;
  for (std::string& frame : writes_.due(now)) send(std::move(frame), now + write_silence);
  for (const native::Fetch& fetch : reads_.due(next_request_, now)) {
    send(native::encode(fetch), now + fetch_silence);
  }
  serve_queued(now);
}

// After what may have ended a fetch that was under way.
void Session::settle(Watch& watch, bool fetched) {
  if (fetched && !watch.fetching()) fetches_.erase(watch.request());
}

void Session::serve_queued(base::TimePoint now) {
  while (!queue_.empty() && fetches_.size() < max_watch_fetches) {
    const WatchId id = queue_.front();
    queue_.pop_front();
    queued_.erase(id);
    if (const auto found = watches_.find(id); found != watches_.end()) serve(found->second, now);
  }
}

void Session::serve(Watch& watch, base::TimePoint now) {
  Stream& stream = streams_.find(watch.topic())->second;
  if (stream.fetching != nullptr && stream.fetching != &watch && stream.fetching->fetching()) {
    return watch.wait(now);
  }
  if (!watch.wants(now)) return;
  if (fetches_.size() >= max_watch_fetches) {
    if (queued_.insert(watch.id()).second) queue_.push_back(watch.id());
    return watch.wait(now);
  }
  const native::Fetch fetch = watch.fetch(next_request_, now);
  stream.fetching = &watch;
  fetches_.emplace(next_request_++, &watch);
  send(native::encode(fetch), now + fetch_silence);
}

void Session::serve_all(const std::string& topic, base::TimePoint now) {
  for (Watch* watch : streams_.find(topic)->second.watches) serve(*watch, now);
}

// --- time --------------------------------------------------------------------------------------

void Session::tick(base::TimePoint now) {
  forgive_sleep(now);
  if (link_ && is_lost(now)) lose(now);
  seek_when_due(now);
  if (link_) tick_watches(now);
  writes_.expire(now);
  reads_.expire(now);
  serve(now);
}

void Session::tick_watches(base::TimePoint now) {
  auto at = watches_.lower_bound(next_tick_);
  for (std::size_t left = std::min(watches_per_tick, watches_.size()); left > 0; --left, ++at) {
    if (at == watches_.end()) at = watches_.begin();
    Watch& watch = at->second;
    if (watch.stuck(now)) return lose(now);
    const bool fetched = watch.fetching();
    watch.tick(now);
    settle(watch, fetched);
    serve(watch, now);
  }
  next_tick_ = at == watches_.end() ? 0 : at->first;
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

// A process that was stopped, or short of a processor, has heard nobody: that is not their silence.
void Session::forgive_sleep(base::TimePoint now) {
  const base::Duration sleep = now - std::exchange(ticked_, now);
  if (sleep < std::chrono::seconds(1)) return;
  if (link_ && link_->answer_due) *link_->answer_due += sleep;
  if (broker_due_) *broker_due_ += sleep;
  for (auto& [topic, stream] : streams_) stream.heard += sleep;
  for (auto& [id, watch] : watches_) watch.forgive(sleep);
  writes_.forgive(sleep);
  reads_.forgive(sleep);
}

}  // namespace canopy::client
