#include "client/canopy/engine.h"

#include <algorithm>
#include <future>
#include <stdexcept>

namespace canopy {
namespace {

constexpr std::chrono::hours longest_timeout{24 * 365};

}  // namespace

Engine::Engine(client::Settings settings, const std::optional<access::ClientKeys>& keys,
               std::chrono::milliseconds timeout)
    : timeout_(std::clamp<std::chrono::milliseconds>(timeout, {}, longest_timeout)) {
  client::Events& events = *this;
  runner_.emplace(std::move(settings), keys, events);
}

Engine::~Engine() = default;

void Engine::call(Start start, Done done) {
  const client::CallId id = next_id_++;
  // Shared, for a task that is not taken must still leave it here.
  const auto kept = std::make_shared<Done>(std::move(done));
  const bool posted =
      runner_->post([this, id, start = std::move(start), kept](auto& session, auto now) {
        calls_.emplace(id, std::move(*kept));
        start(session, id, now);
      });
  if (!posted) (*kept)({.number = client::closed, .text = "the client was closed"});
}

void Engine::refuse_own_thread() const {
  if (runner_->on_thread()) {
    throw std::logic_error("canopy: a callback waits for the thread that it is called by");
  }
}

client::Answer Engine::wait(Start start) {
  refuse_own_thread();
  // Shared: the promise may still be in use when the future is ready.
  const auto promise = std::make_shared<std::promise<client::Answer>>();
  auto future = promise->get_future();
  call(std::move(start),
       [promise](client::Answer answer) { promise->set_value(std::move(answer)); });
  client::Answer answer = future.get();
  if (!answer.ok()) throw to_error(answer);
  return answer;
}

Engine::Start Engine::to_write(std::vector<wire::Write> writes) const {
  return [writes = std::move(writes), timeout = timeout_](
             client::Session& session, client::CallId call, base::TimePoint now) mutable {
    session.write(call, std::move(writes), now, timeout);
  };
}

Engine::Start Engine::to_get(std::string_view key) const {
  return [key = std::string(key), timeout = timeout_](client::Session& session, client::CallId call,
                                                      base::TimePoint now) {
    session.get(call, key, now, timeout);
  };
}

Engine::Start Engine::to_list(std::string_view subtree) const {
  return [subtree = std::string(subtree), timeout = timeout_](
             client::Session& session, client::CallId call, base::TimePoint now) {
    session.list(call, subtree, now, timeout);
  };
}

client::WatchId Engine::watch(wire::native::Subscription subscription, Watcher watcher) {
  const client::WatchId id = next_id_++;
  auto shared = std::make_shared<const Watcher>(std::move(watcher));
  runner_->post([this, id, subscription = std::move(subscription), shared = std::move(shared)](
                    client::Session& session, base::TimePoint now) {
    watchers_.emplace(id, shared);
    if (contact_ && shared->on_contact) shared->on_contact(true);
    session.watch(id, subscription, now);
  });
  return id;
}

void Engine::unwatch(client::WatchId id) {
  const auto end = [this, id](client::Session& session, base::TimePoint) {
    watchers_.erase(id);
    session.unwatch(id);
  };
  if (runner_->on_thread()) {
    watchers_.erase(id);  // nothing more is told, from now on
    runner_->post(end);
    return;
  }
  const auto ended = std::make_shared<std::promise<void>>();
  const bool posted = runner_->post([end, ended](client::Session& session, base::TimePoint now) {
    end(session, now);
    ended->set_value();
  });
  if (posted) ended->get_future().wait();
}

std::shared_ptr<const Watcher> Engine::watcher(client::WatchId watch) const {
  const auto found = watchers_.find(watch);
  return found == watchers_.end() ? nullptr : found->second;
}

void Engine::changed(client::WatchId watch, const client::Change& change) {
  const auto told = watcher(watch);
  if (!told || !told->on_change) return;
  told->on_change({.key = change.key,
                   .value = change.value,
                   .properties = change.properties,
                   .revision = change.revision.value(),
                   .expires_at_ms = change.expires_at_ms,
                   .deleted = change.deleted,
                   .live = change.live});
}

void Engine::synced(client::WatchId watch, const client::Synced& synced) {
  const auto told = watcher(watch);
  if (!told || !told->on_synced) return;
  const bool full = synced.how == client::Synced::How::full;
  if (synced.how == client::Synced::How::snapshot) return told->on_synced(Sync::snapshot);
  told->on_synced(full ? Sync::full : Sync::changes);
}

void Engine::missed(client::WatchId watch, std::optional<std::uint64_t> updates) {
  const auto told = watcher(watch);
  if (told && told->on_gap) told->on_gap(updates);
}

void Engine::refused(client::WatchId watch, const client::Answer& why) {
  const auto told = watcher(watch);
  watchers_.erase(watch);
  if (told && told->on_error) told->on_error(to_error(why));
}

void Engine::contact(bool present) {
  contact_ = present;
  const auto all = watchers_;  // a callback may end any of them
  for (const auto& [id, told] : all) {
    if (watchers_.contains(id) && told->on_contact) told->on_contact(present);
  }
}

void Engine::answered(client::CallId call, client::Answer answer) {
  auto done = calls_.extract(call);
  done.mapped()(std::move(answer));
}

Error to_error(const client::Answer& answer) {
  return {answer.number, answer.text, answer.revision.value()};
}

}  // namespace canopy
