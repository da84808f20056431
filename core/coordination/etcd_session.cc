#include "core/coordination/etcd_session.h"

#include <algorithm>
#include <utility>

#include "core/base/directory_lock.h"
#include "core/base/log.h"
#include "core/cluster/directory_record.h"

namespace canopy::coordination::etcd {
namespace {

constexpr base::Duration name_period = std::chrono::seconds(1);  // between tries for a held name
constexpr base::Duration resign_patience = std::chrono::milliseconds(300);
constexpr std::size_t max_puts_under_way = 16;

std::chrono::seconds whole_seconds(base::Duration lease) {
  return std::clamp<std::chrono::seconds>(std::chrono::ceil<std::chrono::seconds>(lease),
                                          std::chrono::seconds(1), longest_lease);
}

}  // namespace

Session::Session(Gateway& gateway, const EtcdSettings& settings, const std::string& name,
                 const std::string& identity)
    : gateway_(gateway),
      loop_(gateway.loop()),
      prefix_(settings.prefix + "directory/"),
      wanted_ttl_(whole_seconds(settings.lease)),
      name_(name),
      identity_(identity),
      counter_key_(settings.prefix + "generations"),
      name_key_(settings.prefix + "names/" + name) {}

Session::~Session() { loop_.cancel(timer_); }

void Session::proceed() {
  if (resigned_ || !gateway_.ready()) return;
  const base::TimePoint now = loop_.now();
  if (!asking_) {
    if (lease_ != 0 && now >= renew_at_) {
      keep_alive();
    } else if (!confirmed_) {
      confirm_generation();
    } else if (lease_ == 0) {
      grant();
    } else if (!held_ && now >= name_at_) {
      take_name();
    } else {
      wake_at(held_ ? renew_at_ : std::min(renew_at_, name_at_));
    }
  }
  if (held_) send_announced();
}

void Session::wake_at(base::TimePoint when) {
  loop_.cancel(timer_);
  timer_ = loop_.after(std::max(when - loop_.now(), base::Duration{0}), [this] { proceed(); });
}

// One step. `then` gets etcd's answer; a failed request is repeated when the gateway is ready.
void Session::ask(const char* what, const std::string& body,
                  std::function<void(const std::string&)> then,
                  std::optional<base::Duration> patience) {
  asking_ = true;
  const auto done = [this, then = std::move(then)](const Gateway::Answer& answer) {
    asking_ = false;
    if (resigned_) return;
    if (answer.ok) {
      then(answer.text);
    } else if (answer.code == Code::not_found) {
      lose();
    } else {
      fail(answer);
      return;
    }
    proceed();
  };
  gateway_.call(what, body, done, patience);
}

// The request is repeated when the gateway is ready.
void Session::fail(const Gateway::Answer& answer) {
  if (answer.code) refusal_ = "etcd: " + answer.text;
  if (gateway_.ready()) gateway_.pause(answer.text);
}

// --- generation ---------------------------------------------------------------------------------

std::uint32_t Session::known() const {
  return std::max(generation_, known_elsewhere_ ? known_elsewhere_() : 0U);
}

void Session::confirm_generation() {
  ask("kv/range", to_get(counter_key_), [this](const std::string& text) {
    auto list = parse_list(text);
    if (!list) return gateway_.distrust(list.error());
    raise_generation(list->found.empty() ? std::nullopt : std::optional(list->found.front()));
  });
}

// A later record may grant a generation of a lost record again: it is replaced.
void Session::raise_generation(const std::optional<KeyValue>& counter) {
  const auto granted = counter ? parse_generations(counter->value)
                               : base::Result<Generations>({0, base::random_identity()});
  if (!granted) {
    refusal_ = counter_key_ + ": " + granted.error();
    return gateway_.pause(refusal_);
  }
  const bool keeps = generation_ != 0 && granted->record == record_;
  const std::uint32_t reached = std::max(granted->last, known());
  constexpr std::uint32_t max = cluster::DirectoryRecord::max_generation;
  if (reached > max || (reached == max && !keeps)) {
    refusal_ = "no generation is left: a process reports one of " + std::to_string(reached);
    return gateway_.pause(refusal_);
  }
  const std::uint32_t last = keeps ? reached : reached + 1;
  if (last == granted->last) {
    confirmed_ = true;
    return;
  }
  const auto swapped = [this, keeps, last, record = granted->record](const std::string& text) {
    const auto swap = parse_swap(text);
    if (!swap) return gateway_.distrust(swap.error());
    if (!swap->swapped) return raise_generation(swap->found);
    record_ = record;
    confirmed_ = true;
    if (!keeps) adopt(last);
  };
  ask("kv/txn",
      to_swap(counter_key_, to_json(Generations{last, granted->record}),
              counter ? counter->modified : 0),
      swapped);
}

void Session::adopt(std::uint32_t generation) {
  generation_ = generation;
  if (granted_) granted_(generation);
}

// --- lease --------------------------------------------------------------------------------------

void Session::grant() {
  ask("lease/grant", to_grant(wanted_ttl_),
      [this, sent = loop_.now()](const std::string& text) { renew(text, sent); });
}

// After two endpoints that do not answer there is still time for the third one.
void Session::keep_alive() {
  ask(
      "lease/keepalive", to_lease(lease_),
      [this, sent = loop_.now()](const std::string& text) { renew(text, sent); }, ttl_ / 4);
}

void Session::renew(const std::string& answer, base::TimePoint sent) {
  const auto lease = parse_lease(answer);
  if (!lease) return gateway_.distrust(lease.error());
  if (lease->ttl.count() == 0) return lose();
  lease_ = lease->id;
  ttl_ = lease->ttl;
  renewed_ = sent;
  renew_at_ = sent + ttl_ / 3;
}

// With the lease etcd has deleted the name and every announcement.
void Session::lose() {
  if (held_) base::log::warn("etcd", "lease lost", {{"name", name_}});
  lease_ = 0;
  held_ = false;
  confirmed_ = false;
  for (auto& [key, announced] : announced_) {
    announced.sent = false;
    announced.modified = 0;
  }
}

std::optional<base::TimePoint> Session::deadline() const {
  if (!held_) return std::nullopt;
  return renewed_ + ttl_;
}

// --- name ---------------------------------------------------------------------------------------

void Session::take_name() {
  const Holder own{identity_, generation_};
  ask("kv/txn", to_swap(name_key_, to_json(own), 0, lease_), [this](const std::string& text) {
    const auto swap = parse_swap(text);
    if (!swap) return gateway_.distrust(swap.error());
    if (!swap->swapped && swap->found && swap->found->lease != lease_) return judge(*swap->found);
    if (!swap->swapped && !swap->found) return;
    held_ = true;
    refusal_.clear();
  });
}

void Session::judge(const KeyValue& holder) {
  const auto parsed = parse_holder(holder.value);
  if (!parsed) return refuse_name(name_key_ + ": " + parsed.error());
  if (parsed->identity != identity_) {
    return refuse_name("another process of this name is running: " + name_);
  }
  if (parsed->generation > generation_) {
    return refuse_name("superseded by a newer process of this name: " + name_);
  }
  if (holder.lease == 0) return refuse_name(name_key_ + " is held without a lease");
  // An older process, or an earlier lease of this one. etcd may have ended it meanwhile.
  asking_ = true;
  gateway_.call("lease/revoke", to_lease(holder.lease), [this](const Gateway::Answer& answer) {
    asking_ = false;
    if (answer.ok || gateway_.ready()) proceed();
  });
}

void Session::refuse_name(const std::string& why) {
  if (std::exchange(refusal_, why) != why) base::log::warn("etcd", why);
  name_at_ = loop_.now() + name_period;
}

// --- announcements ------------------------------------------------------------------------------

void Session::announce(const std::string& key, const std::string& value) {
  if (value.size() > max_value_bytes) {
    base::log::error("etcd", "value too long to announce", {{"key", key}});
    return;
  }
  Announced& announced = announced_[key];
  announced.value = value;
  announced.sent = false;
  proceed();
}

void Session::send_announced() {
  for (const auto& [key, announced] : announced_) {
    if (puts_ >= max_puts_under_way) return;
    if (!announced.sent && !announced.under_way) put(key);
  }
}

// One put at a time of each key, compared with the revision that it replaces: an unanswered request
// that etcd carries out late changes nothing.
void Session::put(const std::string& key) {
  Announced& announced = announced_[key];
  announced.sent = announced.under_way = true;
  ++puts_;
  gateway_.call("kv/txn", to_swap(prefix_ + key, announced.value, announced.modified, lease_),
                [this, key, lease = lease_](const Gateway::Answer& answer) {
                  --puts_;
                  if (!resigned_) on_put(announced_[key], lease, answer);
                });
}

void Session::on_put(Announced& announced, LeaseId lease, const Gateway::Answer& answer) {
  announced.under_way = false;
  const auto swap = answer.ok ? parse_swap(answer.text) : base::Error{answer.text};
  if (!swap || !swap->swapped) announced.sent = false;
  if (lease != lease_) return proceed();
  if (swap) {
    announced.modified = swap->swapped ? swap->revision : swap->found ? swap->found->modified : 0;
    if (held_) refusal_.clear();
  } else if (answer.code == Code::not_found) {
    lose();
  } else if (answer.ok) {
    return gateway_.distrust(swap.error());
  } else {
    return fail(answer);
  }
  proceed();
}

void Session::resign() {
  announced_.clear();
  resigned_ = true;
  held_ = false;
  if (lease_ == 0) return;
  gateway_.call_now("lease/revoke", to_lease(std::exchange(lease_, 0)), resign_patience);
}

}  // namespace canopy::coordination::etcd
