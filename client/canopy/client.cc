#include "client/canopy/client.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <stdexcept>

#include "client/canopy/engine.h"
#include "client/keys.h"

namespace canopy {
namespace {

wire::Write to_write(std::string_view key, std::string_view value, const PutOptions& options) {
  wire::Write write{.key = std::string(key),
                    .value = std::string(value),
                    .ttl_ms = options.ttl.count(),
                    .properties = options.properties};
  if (options.if_revision) write.if_revision = keyspace::Revision(*options.if_revision);
  return write;
}

wire::Write to_write(std::string_view key, const EraseOptions& options) {
  wire::Write write{.key = std::string(key), .deletes = true};
  if (options.if_revision) write.if_revision = keyspace::Revision(*options.if_revision);
  return write;
}

Entry to_entry(client::Answer::Entry&& entry) {
  return {.key = std::move(entry.key),
          .value = std::move(entry.value),
          .properties = std::move(entry.properties),
          .revision = entry.revision.value(),
          .expires_at_ms = entry.expires_at_ms};
}

std::vector<Entry> to_entries(client::Answer&& answer) {
  std::vector<Entry> entries;
  entries.reserve(answer.entries.size());
  for (auto& entry : answer.entries) entries.push_back(to_entry(std::move(entry)));
  return entries;
}

client::Target target_at(const std::string& endpoint) {
  auto target = client::target_at(endpoint);
  if (!target) throw std::invalid_argument("canopy: " + target.error());
  return *target;
}

client::Settings to_settings(const Options& options) {
  client::Settings settings;
  settings.name = program_invocation_short_name;
  for (const std::string& each : options.proxies) settings.proxies.push_back(target_at(each));
  for (const std::string& each : options.brokers) {
    settings.brokers.push_back(target_at(each).endpoint);
  }
  if (settings.proxies.empty() && settings.brokers.empty()) {
    throw std::invalid_argument("canopy: neither a broker nor a proxy is given");
  }
  std::random_device device;
  while (settings.client.size() < wire::native::client_id_bytes) {
    settings.client += static_cast<char>(device());
  }
  settings.seed = (std::uint64_t{device()} << 32) | device();
  return settings;
}

std::optional<access::ClientKeys> to_keys(const Options& options) {
  const auto all = {&options.server_key, &options.public_key, &options.secret_key};
  if (std::ranges::all_of(all, [](const auto* key) { return key->empty(); })) return std::nullopt;
  if (!std::ranges::all_of(all, [](const auto* key) { return access::is_key(*key); })) {
    throw std::invalid_argument(
        "canopy: server_key, public_key and secret_key are 40 characters of Z85, or all empty");
  }
  return access::ClientKeys{
      .server_key = options.server_key,
      .own = {.public_key = options.public_key, .secret_key = options.secret_key}};
}

// Of the answer to a get.
std::optional<Entry> first(client::Answer&& answer) {
  if (answer.entries.empty()) return std::nullopt;
  return to_entry(std::move(answer.entries.front()));
}

}  // namespace

Options& Options::use_keys(const std::string& own, const std::string& server) {
  auto keys = client::read_keys(own, server);
  if (!keys) throw std::invalid_argument("canopy: " + keys.error());
  server_key = std::move(keys->server_key);
  public_key = std::move(keys->own.public_key);
  secret_key = std::move(keys->own.secret_key);
  return *this;
}

struct Batch::Impl {
  std::vector<wire::Write> writes;
};

Batch::Batch() : impl_(std::make_unique<Impl>()) {}
Batch::Batch(const Batch& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}
Batch::Batch(Batch&& other) noexcept = default;
Batch& Batch::operator=(const Batch& other) {
  impl_ = std::make_unique<Impl>(*other.impl_);
  return *this;
}
Batch& Batch::operator=(Batch&& other) noexcept = default;
Batch::~Batch() = default;

Batch& Batch::put(std::string_view key, std::string_view value, const PutOptions& options) {
  impl_->writes.push_back(to_write(key, value, options));
  return *this;
}

Batch& Batch::erase(std::string_view key, const EraseOptions& options) {
  impl_->writes.push_back(to_write(key, options));
  return *this;
}

std::size_t Batch::size() const { return impl_->writes.size(); }

Subscription::Subscription() noexcept = default;
Subscription::Subscription(std::weak_ptr<Engine> engine, std::uint64_t id,
                           std::shared_ptr<CallbackQueue> callbacks)
    : engine_(std::move(engine)), id_(id), callbacks_(std::move(callbacks)) {}
Subscription::Subscription(Subscription&& other) noexcept = default;
Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  reset();
  engine_ = std::move(other.engine_);
  id_ = other.id_;
  callbacks_ = std::move(other.callbacks_);
  return *this;
}
Subscription::~Subscription() { reset(); }

void Subscription::reset() {
  const auto callbacks = std::exchange(callbacks_, {});
  if (!callbacks) return;
  if (const auto engine = std::exchange(engine_, {}).lock()) engine->unwatch(id_);
  callbacks->stop(CallbackQueue::Rest::drop);
}

Client::Client(const Options& options)
    : engine_(std::make_shared<Engine>(to_settings(options), to_keys(options), options)) {}

Client::~Client() { engine_->stop(); }

std::uint64_t Client::put(std::string_view key, std::string_view value, const PutOptions& options) {
  const auto request = engine_->to_write({to_write(key, value, options)}, options.call);
  return engine_->wait(request).revision.value();
}

std::uint64_t Client::erase(std::string_view key, const EraseOptions& options) {
  const auto request = engine_->to_write({to_write(key, options)}, options.call);
  return engine_->wait(request).revision.value();
}

std::uint64_t Client::apply(const Batch& batch, const CallOptions& options) {
  const auto request = engine_->to_write(batch.impl_->writes, options);
  return engine_->wait(request).revision.value();
}

namespace {

// Calls `done` with the error of an answer, or with what it holds.
template <typename Call, typename Convert>
Engine::Done report_to(Call done, Convert convert) {
  return [done = std::move(done), convert](client::Answer answer) {
    if (answer.ok()) return done(nullptr, convert(std::move(answer)));
    const Error error = to_error(answer);
    done(&error, {});
  };
}

std::uint64_t revision_of(client::Answer&& answer) { return answer.revision.value(); }

}  // namespace

void Client::put(std::string_view key, std::string_view value, const PutOptions& options,
                 WriteDone done) {
  engine_->call(engine_->to_write({to_write(key, value, options)}, options.call),
                report_to(std::move(done), revision_of));
}

void Client::erase(std::string_view key, const EraseOptions& options, WriteDone done) {
  engine_->call(engine_->to_write({to_write(key, options)}, options.call),
                report_to(std::move(done), revision_of));
}

void Client::apply(const Batch& batch, WriteDone done, const CallOptions& options) {
  engine_->call(engine_->to_write(batch.impl_->writes, options),
                report_to(std::move(done), revision_of));
}

void Client::flush() { engine_->flush(); }

std::optional<Entry> Client::get(std::string_view key, const CallOptions& options) {
  return first(engine_->wait(engine_->to_get(key, options)));
}

std::vector<Entry> Client::list(std::string_view subtree, const ListOptions& options) {
  return to_entries(engine_->wait(engine_->to_list(subtree, options)));
}

void Client::get(std::string_view key, GetDone done, const CallOptions& options) {
  engine_->call(engine_->to_get(key, options), report_to(std::move(done), first));
}

void Client::list(std::string_view subtree, ListDone done, const ListOptions& options) {
  engine_->call(engine_->to_list(subtree, options), report_to(std::move(done), to_entries));
}

Stats Client::stats() const { return engine_->stats(); }

Subscription Client::watch(std::string_view subtree, Watcher watcher, const WatchOptions& options) {
  wire::native::Subscription subscription{.subtree = std::string(subtree),
                                          .latest_ms = UINT32_MAX,  // refused
                                          .lz4 = options.compress};
  if (options.latest.count() >= 0 && options.latest.count() <= wire::native::max_latest_ms) {
    subscription.latest_ms = static_cast<std::uint32_t>(options.latest.count());
  }
  Engine::Watching made = engine_->watch(std::move(subscription), std::move(watcher), options);
  return {engine_, made.id, std::move(made.callbacks)};
}

Subscription Client::watch(std::string_view subtree, std::function<void(const Change&)> on_change,
                           const WatchOptions& options) {
  return watch(subtree, Watcher{.on_change = std::move(on_change)}, options);
}

}  // namespace canopy
