#include "client/canopy/engine.h"

#include <algorithm>
#include <future>
#include <stdexcept>

namespace canopy {
namespace {

constexpr std::chrono::hours longest_timeout{24 * 365};

base::log::Sink to_sink(const std::function<void(LogLevel, std::string_view)>& log) {
  return [log](base::log::Level level, std::string_view text) {
    if (log) log(static_cast<LogLevel>(level), text);
  };
}

static_assert(static_cast<int>(LogLevel::debug) == static_cast<int>(base::log::Level::debug));
static_assert(static_cast<int>(LogLevel::error) == static_cast<int>(base::log::Level::error));

}  // namespace

Engine::Engine(client::Settings settings, const std::optional<access::ClientKeys>& keys,
               const Options& options)
    : timeout_(options.timeout), callbacks_(std::make_shared<CallbackQueue>(Watcher{}, 0)) {
  client::Events& events = *this;
  runner_.emplace(std::move(settings), keys, events, to_sink(options.log));
}

Engine::~Engine() = default;

void Engine::stop() {
  runner_->stop();
  for (const auto& [id, callbacks] : watches_) callbacks->stop(CallbackQueue::Rest::drop);
  callbacks_->stop(CallbackQueue::Rest::run);
}

base::Duration Engine::timeout_of(const CallOptions& options) const {
  return std::clamp<std::chrono::milliseconds>(options.timeout.value_or(timeout_), {},
                                               longest_timeout);
}

Engine::Request Engine::to_write(std::vector<wire::Write> writes,
                                 const CallOptions& options) const {
  return {.start =
              [writes = std::move(writes), timeout = timeout_of(options)](
                  client::Session& session, client::CallId call, base::TimePoint now) mutable {
                session.write(call, std::move(writes), now, timeout);
              },
          .stop = options.stop,
          .writes = true};
}

Engine::Request Engine::to_get(std::string_view key, const CallOptions& options) const {
  return {.start = [key = std::string(key), timeout = timeout_of(options)](
                       client::Session& session, client::CallId call,
                       base::TimePoint now) { session.get(call, key, now, timeout); },
          .stop = options.stop};
}

Engine::Request Engine::to_list(std::string_view subtree, const ListOptions& options) const {
  const client::ListFilter filter{
      .limit = options.limit, .start_after = options.start_after, .keys_only = options.keys_only};
  return {
      .start = [subtree = std::string(subtree), timeout = timeout_of(options.call), filter](
                   client::Session& session, client::CallId call,
                   base::TimePoint now) { session.list(call, subtree, now, timeout, 0, filter); },
      .stop = options.call.stop};
}

void Engine::start(Request request, Done done) {
  const client::CallId id = next_id_++;
  // Shared: a task that is refused must leave `done` here.
  const auto kept = std::make_shared<Done>(std::move(done));
  const bool posted =
      runner_->post([this, id, request = std::move(request), kept](auto& session, auto now) {
        Call& call = calls_[id];
        call.done = std::move(*kept);
        call.writes = request.writes;
        if (request.stop.stop_possible()) {
          call.cancel.emplace(request.stop, [this, id] {
            runner_->post([id](client::Session& open, base::TimePoint) { open.cancel(id); });
          });
        }
        request.start(session, id, now);
      });
  if (!posted) (*kept)({.number = client::closed, .text = "the client was closed"});
}

void Engine::run_or_post(CallbackQueue::Task task) {
  if (!callbacks_->post(task)) task();
}

void Engine::call(Request request, Done done) {
  if (callbacks_->size() >= max_callbacks) {
    throw Error(Error::busy, "too many callbacks wait already");
  }
  callbacks_->start();
  start(std::move(request), [this, done = std::move(done)](client::Answer answer) {
    run_or_post([done, answer = std::move(answer)] { done(answer); });
  });
}

void Engine::refuse_own_thread() const {
  if (runner_->on_thread()) {
    throw std::logic_error("canopy: Options::log waits for the thread that calls it");
  }
}

client::Answer Engine::wait(Request request) {
  refuse_own_thread();
  // Shared: the promise may still be in use when the future is ready.
  const auto promise = std::make_shared<std::promise<client::Answer>>();
  auto future = promise->get_future();
  start(std::move(request),
        [promise](client::Answer answer) { promise->set_value(std::move(answer)); });
  client::Answer answer = future.get();
  if (!answer.ok()) throw to_error(answer);
  return answer;
}

void Engine::flush() {
  refuse_own_thread();
  const auto promise = std::make_shared<std::promise<void>>();
  auto future = promise->get_future();
  // Its last owner, a call or the task, sets the promise.
  std::shared_ptr<void> last(nullptr, [promise](void*) { promise->set_value(); });
  runner_->post([this, flush = std::move(last)](client::Session&, base::TimePoint) {
    for (auto& [id, call] : calls_) {
      if (call.writes) call.flushes.push_back(flush);
    }
  });
  future.wait();
}

Stats Engine::stats() {
  refuse_own_thread();
  const auto promise = std::make_shared<std::promise<Stats>>();
  auto future = promise->get_future();
  const bool posted = runner_->post([this, promise](client::Session& session, base::TimePoint) {
    Stats stats{.open_calls = session.open_calls(),
                .changes = changes_,
                .merged_changes = merged_,
                .contacts_lost = contacts_lost_};
    if (contact_ && session.linked()) {
      stats.proxy = session.target().name;
      stats.proxy_endpoint = session.target().endpoint;
    }
    for (const auto& [id, callbacks] : watches_) {
      stats.queued_bytes += callbacks->bytes();
      stats.merged_changes += callbacks->merged();
    }
    promise->set_value(std::move(stats));
  });
  return posted ? future.get() : Stats{};
}

Engine::Watching Engine::watch(wire::native::Subscription subscription, Watcher watcher,
                               const WatchOptions& options) {
  const Watching made{next_id_++,
                      std::make_shared<CallbackQueue>(std::move(watcher), options.max_queue_bytes)};
  made.callbacks->start();
  runner_->post([this, made, subscription = std::move(subscription)](client::Session& session,
                                                                     base::TimePoint now) {
    watches_.emplace(made.id, made.callbacks);
    if (contact_) post(made.id, &Watcher::on_contact, true);
    session.watch(made.id, subscription, now);
  });
  return made;
}

void Engine::unwatch(client::WatchId id) {
  runner_->post([this, id](client::Session& session, base::TimePoint) {
    const auto ended = watches_.extract(id);
    if (!ended.empty()) merged_ += ended.mapped()->merged();
    session.unwatch(id);
  });
}

// Posts a callback of a watch, which may be absent.
template <typename Callback, typename... Values>
void Engine::post(client::WatchId watch, Callback callback, Values... values) {
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  CallbackQueue& callbacks = *found->second;
  CallbackQueue::Task task = [&callbacks, callback, values...] {
    const auto& member = callbacks.watcher().*callback;
    if (member) member(values...);
  };
  callbacks.post(task);
}

void Engine::changed(client::WatchId watch, const client::Change& change) {
  ++changes_;
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  found->second->change({.key = change.key,
                         .value = change.value,
                         .properties = change.properties,
                         .revision = change.revision.value(),
                         .expires_at_ms = change.expires_at_ms,
                         .deleted = change.deleted,
                         .live = change.live});
}

void Engine::synced(client::WatchId watch, const client::Synced& synced) {
  using How = client::Synced::How;
  const Sync sync = synced.how == How::snapshot ? Sync::snapshot
                    : synced.how == How::full   ? Sync::full
                                                : Sync::changes;
  post(watch, &Watcher::on_synced, sync);
}

void Engine::missed(client::WatchId watch, std::optional<std::uint64_t> updates) {
  post(watch, &Watcher::on_gap, updates);
}

void Engine::refused(client::WatchId watch, const client::Answer& why) {
  post(watch, &Watcher::on_error, to_error(why));
}

void Engine::contact(bool present) {
  contact_ = present;
  if (!present) ++contacts_lost_;
  base::log::info("client", present ? "connected" : "connection lost");
  for (const auto& [id, callbacks] : watches_) post(id, &Watcher::on_contact, present);
}

void Engine::answered(client::CallId id, client::Answer answer) {
  auto call = calls_.extract(id);
  call.mapped().done(std::move(answer));
}

Error to_error(const client::Answer& answer) {
  return {answer.number, answer.text, answer.revision.value()};
}

}  // namespace canopy
