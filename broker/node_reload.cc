// Reloads: the broker applies a changed file, and collects which processes have applied it.
#include "broker/node.h"
#include "core/base/text.h"

namespace canopy::broker {
namespace {

namespace log = base::log;
using Outcome = coordination::LocalServer::Reload;

constexpr std::size_t max_reloads = 64;  // waiting at the same time
constexpr std::size_t max_named = 20;    // processes in one answer

std::string listed(std::vector<std::string> failures) {
  const std::size_t count = failures.size();
  if (count > max_named) {
    failures.resize(max_named);
    failures.push_back("and " + std::to_string(count - max_named) + " more");
  }
  std::string text;
  for (const std::string& failure : failures) text += (text.empty() ? "" : "; ") + failure;
  return text;
}

}  // namespace

void Node::reload(ReloadDone done) {
  if (stopping_ || reloading_.size() >= max_reloads) {
    return done({.fault = stopping_ ? wire::Fault::configuration : wire::Fault::busy,
                 .text = stopping_ ? "the cluster is being stopped" : "too many reloads at once"});
  }
  bool permitted = false;
  const auto before = processes();
  const auto permit = [&](const config::Security& wanted) {
    if (!authority_) return;
    const auto changed_names = authority_->replace(access::Permissions(wanted.clients));
    directory_->close_clients(changed_names);
    permitted = !changed_names.empty();
  };
  const auto changed = config::reload(start_, permit, [this](const config::Cluster& wanted) {
    // Before apply_config(): processes that it starts cannot handle the signal yet.
    supervisor_->reload();
    apply_config(wanted);
    return base::Status();
  });
  metrics_.registry.count_reload(changed.ok());
  Outcome outcome;
  if (changed) {
    outcome.settings = *changed;
  } else {
    outcome.fault = wire::Fault::configuration;
    outcome.text = changed.error();
    if (!permitted) return done(std::move(outcome));
    supervisor_->reload();
  }
  reloading_.push_back(
      {.watch = ReloadWatch(start_.read.fingerprint, !changed.ok(), before, loop_.now()),
       .outcome = std::move(outcome),
       .done = std::move(done)});
  finish_reloads();
}

// The processes of the file and of the directory, without drained ones.
std::vector<ReloadWatch::Process> Node::processes() const {
  std::vector<ReloadWatch::Process> all;
  const auto add = [&](const std::string& role, const std::string& name, bool present) {
    const auto* entry = vitals_.find(name);
    all.push_back({.name = name,
                   .supervised = supervisor_->pid(role, name) != 0,
                   .present = present,
                   .reloads = entry == nullptr ? 0 : entry->vitals.file.number});
  };
  for (const auto& [process, there] : presence(cluster_, members_)) {
    add(process.first, process.second, there);
  }
  return all;
}

void Node::finish_reloads() {
  for (std::size_t i = 0; i < reloading_.size();) {
    auto failures = reloading_[i].watch.outcome(vitals_, loop_.now());
    if (!failures) {
      ++i;
      continue;
    }
    Reloading ended = std::move(reloading_[i]);
    reloading_.erase(reloading_.begin() + static_cast<std::ptrdiff_t>(i));
    Outcome& outcome = ended.outcome;
    if (!failures->empty()) {
      const std::string names = listed(std::move(*failures));
      log::warn("node", "not every process applied the new configuration", {{"by", names}});
      if (outcome.fault == wire::Fault::none) {
        outcome.fault = wire::Fault::not_followed;
        outcome.text = "not followed by " + names;
        if (!outcome.settings.empty()) {
          outcome.text += " (the others changed " + base::joined(outcome.settings) + ")";
        }
      } else {
        outcome.text += ", but not at " + names;
      }
    }
    ended.done(std::move(outcome));
  }
}

}  // namespace canopy::broker
