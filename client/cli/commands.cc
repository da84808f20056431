#include "client/cli/commands.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

#include "client/cli/call.h"
#include "client/cli/clients.h"
#include "client/cli/hint.h"
#include "client/cli/keygen.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/refusal.h"
#include "client/cli/session_loop.h"
#include "client/cli/status.h"
#include "client/cli/text.h"
#include "client/cli/watcher.h"
#include "client/keys.h"
#include "core/base/directory_lock.h"
#include "core/base/limits.h"
#include "core/coordination/backup.h"
#include "core/coordination/coordinator.h"
#include "core/coordination/member.h"

namespace canopy::client::cli {
namespace {

namespace native = wire::native;

constexpr CallId only_call = 1;
constexpr auto poll_period = std::chrono::milliseconds(100);
constexpr base::Duration hint_patience = std::chrono::seconds(1);

Exit fail(Exit exit, const std::string& why) {
  complain(why);
  return exit;
}

bool is_served(const native::Members& members, const std::string& partition) {
  return std::ranges::any_of(members.members, [&](const auto& each) {
    const auto shard = coordination::parse_shard_member(each.second);
    return shard && std::ranges::any_of(shard->partitions, [&](const auto& state) {
             return state.subtree == partition && state.serves();
           });
  });
}

Exit print_result(std::string_view text) {
  const auto status = print(text);
  return status ? Exit::ok : fail(Exit::broken, status.error());
}

// One call of a session, and its answer.
class Call final : private Events {
 public:
  explicit Call(const Command& command) : command_(command), loop_(command.cluster, *this) {}

  Answer write(wire::Write write) {
    loop_.session().write(only_call, {std::move(write)}, loop_.loop().now(), command_.timeout);
    return wait();
  }
  Answer get() {
    loop_.session().get(only_call, command_.subject, loop_.loop().now(), command_.timeout);
    return wait();
  }
  Answer list(std::uint64_t limit = 0) {
    loop_.session().list(only_call, command_.subject, loop_.loop().now(), command_.timeout, limit);
    return wait();
  }

 private:
  Answer wait() {
    if (!answer_) loop_.run();
    if (answer_->number == timed_out) explain();
    return std::move(*answer_);
  }

  void answered(CallId, Answer answer) override {
    answer_ = std::move(answer);
    sent_ |= loop_.session().linked();
    loop_.stop();
  }
  void contact(bool present) override {
    contact_ = present;
    sent_ |= present;
  }
  void changed(WatchId, const Change&) override {}
  void synced(WatchId, const Synced&) override {}
  void missed(WatchId, std::optional<std::uint64_t>) override {}
  void refused(WatchId, const Answer&) override {}

  // The session does not say whom it could not reach.
  void explain() {
    if (!contact_) answer_->text = loop_.standstill();
    const bool writes = command_.action == Action::put || command_.action == Action::erase;
    if (writes && sent_) answer_->text += " (it may have been applied)";
  }

  const Command& command_;
  bool contact_ = false;
  bool sent_ = false;  // to some proxy
  std::optional<Answer> answer_;
  SessionLoop loop_;
};

std::string mismatch(const Command& command, keyspace::Revision found) {
  const std::string key = escaped(command.subject);
  const std::string wanted = std::to_string(command.if_revision->value());
  if (found.value() == 0) return key + " is absent, not at revision " + wanted;
  const std::string revision = std::to_string(found.value());
  if (command.if_revision->value() == 0) return key + " exists, at revision " + revision;
  return key + " has revision " + revision + ", not " + wanted;
}

Exit fail(const Command& command, const Answer& answer) {
  if (answer.number == static_cast<unsigned>(wire::Fault::revision_mismatch)) {
    return fail(Exit::refused, mismatch(command, answer.revision));
  }
  const bool asked = answer.number < static_cast<unsigned>(wire::Fault::partition_unavailable);
  const std::string subject = command.subject.empty() ? "*" : escaped(command.subject);
  return fail(asked ? Exit::refused : Exit::no_answer,
              subject + ": " + refusal_text(command.action, answer.number, answer.text));
}

// The hint for a write or a get, if it applies. The command is done: whatever becomes of the look
// at the keys, it does not fail.
std::string hint_after(const Command& command) {
  std::string hint = hint_for(command);
  const std::string condition = condition_of_hint(command);
  if (hint.empty() || condition.empty()) return hint;
  if (condition.size() > base::max_key_bytes) return {};  // no key is that long
  Command look = command;
  look.action = Action::list;
  look.subject = condition;
  look.timeout = std::min(command.timeout, hint_patience);
  return Call(look).list(1).entries.empty() ? "" : hint;
}

Exit write(const Command& command) {
  wire::Write write{
      .key = command.subject,
      .value = command.value,
      .deletes = command.action == Action::erase,
      .ttl_ms = std::chrono::duration_cast<std::chrono::milliseconds>(command.ttl).count(),
      .if_revision = command.if_revision};
  if (command.value_from_stdin) {
    auto input = read_input(base::max_value_bytes);
    if (!input) return fail(Exit::broken, input.error());
    write.value = std::move(*input);
  }
  const Answer answer = Call(command).write(std::move(write));
  if (!answer.ok()) return fail(command, answer);
  const Exit exit = print_result(std::to_string(answer.revision.value()) + "\n");
  if (const std::string hint = hint_after(command); !hint.empty()) complain(hint);
  return exit;
}

Exit get(const Command& command) {
  const Answer answer = Call(command).get();
  if (!answer.ok()) return fail(command, answer);
  if (answer.entries.empty()) {
    const std::string hint = hint_after(command);
    return fail(Exit::absent,
                escaped(command.subject) + " is absent" + (hint.empty() ? "" : " (" + hint + ")"));
  }
  const std::string& value = answer.entries.front().value;
  return print_result(prints_to_terminal() ? value + "\n" : value);
}

Exit list(const Command& command) {
  const Answer answer = Call(command).list();
  if (!answer.ok()) return fail(command, answer);
  std::string text;
  for (const Answer::Entry& entry : answer.entries) text += entry_line(entry);
  const std::string hint = answer.entries.empty() ? hint_for(command) : std::string();
  if (!hint.empty()) complain(hint);
  return print_result(text);
}

// The answer of the wanted kind; else it has been said why there is none.
template <typename Wanted>
std::optional<Wanted> ask(const Command& command, const std::string& question, Exit& exit) {
  auto answer = ask_brokers(command.cluster, question, command.timeout);
  if (!answer) {
    exit = fail(Exit::no_answer, answer.error());
    return std::nullopt;
  }
  if (auto* wanted = std::get_if<Wanted>(&*answer)) return std::move(*wanted);
  const auto* refusal = std::get_if<native::Refusal>(&*answer);
  exit = fail(
      Exit::refused,
      refusal == nullptr
          ? "the broker answers otherwise"
          : refusal_text(command.action, static_cast<unsigned>(refusal->fault), refusal->text));
  return std::nullopt;
}

// Each prefix by itself, so that the answer fits into one frame however many partitions there are.
Exit show_status(const Command& command) {
  Exit exit = Exit::ok;
  native::Members all;
  for (const char* prefix : {coordination::shards_prefix, coordination::proxies_prefix,
                             coordination::vitals_prefix, coordination::partitions_prefix}) {
    auto members = ask<native::Members>(
        command, native::encode(native::Directory{.request = 1, .prefix = prefix}), exit);
    if (!members) return exit;
    std::ranges::move(members->members, std::back_inserter(all.members));
  }
  const ClusterStatus status = status_of(all);
  exit = print_result(command.json ? to_json(status) : to_table(status));
  if (exit == Exit::ok && !status.well()) return Exit::absent;
  return exit;
}

// The proxies that the command is for; else it has been said why there are none.
std::optional<std::vector<AskedProxy>> find_proxies(const Command& command, Exit& exit) {
  const auto members = ask<native::Members>(
      command,
      native::encode(native::Directory{.request = 1, .prefix = coordination::proxies_prefix}),
      exit);
  if (!members) return std::nullopt;
  auto proxies = proxies_of(*members, command.subject);
  if (!proxies.empty() || command.subject.empty()) return proxies;
  exit = fail(Exit::refused, "no proxy " + escaped(command.subject));
  return std::nullopt;
}

// Asks all that can be asked, and keeps with each what it answered, or why it did not.
base::Status ask_each(const Command& command, const std::string& question,
                      std::vector<AskedProxy>& proxies) {
  std::vector<AskedProxy*> asked;
  std::vector<std::string> endpoints;
  for (AskedProxy& proxy : proxies) {
    if (!proxy.fault.empty()) continue;
    asked.push_back(&proxy);
    endpoints.push_back(proxy.native);
  }
  auto answers = ask_proxies(endpoints, command.cluster, question, command.timeout);
  if (!answers) return base::Error{answers.error()};
  for (std::size_t i = 0; i < asked.size(); ++i) {
    ProxyAnswer& answer = (*answers)[i];
    asked[i]->clients = std::move(answer.clients);
    if (!answer.done) asked[i]->fault = "no answer";
    if (!answer.refusal) continue;
    asked[i]->refused = true;
    asked[i]->fault = refusal_text(command.action, static_cast<unsigned>(answer.refusal->fault),
                                   answer.refusal->text);
  }
  return {};
}

Exit show_clients(const Command& command) {
  Exit exit = Exit::ok;
  auto proxies = find_proxies(command, exit);
  if (!proxies) return exit;
  const auto asked = ask_each(command, native::encode(native::Clients{.request = 1}), *proxies);
  if (!asked) return fail(Exit::no_answer, asked.error());
  for (const std::string& line : fault_lines(*proxies)) exit = fail(Exit::absent, line);
  if (std::ranges::any_of(*proxies, &AskedProxy::refused)) return Exit::refused;
  auto clients = clients_of(*proxies);
  sort(clients, command.order);
  const Exit printed = print_result(command.json ? to_json(clients) : to_table(clients));
  return printed == Exit::ok ? exit : printed;
}

Exit kick(const Command& command) {
  Exit exit = Exit::ok;
  auto proxies = find_proxies(command, exit);
  if (!proxies) return exit;
  const native::Kick question{.request = 1, .connection = command.connection};
  const auto asked = ask_each(command, native::encode(question), *proxies);
  if (!asked) return fail(Exit::no_answer, asked.error());
  const Exit failure = proxies->front().refused ? Exit::refused : Exit::no_answer;
  for (const std::string& line : fault_lines(*proxies)) exit = fail(failure, line);
  return exit;
}

Exit drain(const Command& command) {
  Exit exit = Exit::ok;
  ask<native::Drained>(command,
                       native::encode(native::Drain{.request = 1, .name = command.subject}), exit);
  return exit;
}

Exit reload(const Command& command) {
  Exit exit = Exit::ok;
  const auto reloaded =
      ask<native::Reloaded>(command, native::encode(native::Reload{.request = 1}), exit);
  if (!reloaded) return exit;
  std::string lines;
  for (const std::string& setting : reloaded->settings) lines += escaped(setting) + "\n";
  return print_result(lines);
}

// The order is given once; whether it has come to anything is seen in what the shards announce.
Exit elect(const Command& command) {
  Exit exit = Exit::ok;
  const base::SystemClock clock;
  const base::TimePoint give_up = clock.now() + command.timeout;
  const native::Elect order{
      .request = 1, .partition = command.subject, .shard = command.shards.front()};
  if (!ask<native::Elected>(command, native::encode(order), exit)) return exit;
  const native::Directory question{.request = 1, .prefix = coordination::shards_prefix};
  while (clock.now() < give_up) {
    const auto members = ask<native::Members>(command, native::encode(question), exit);
    if (!members) return exit;
    if (is_served(*members, command.subject)) return Exit::ok;
    std::this_thread::sleep_for(poll_period);
  }
  return fail(Exit::no_answer, (command.subject.empty() ? "*" : escaped(command.subject)) +
                                   ": not served yet, see canopy status");
}

// Ordered once; the shard announces the outcome.
Exit backup(const Command& command) {
  Exit exit = Exit::ok;
  const base::SystemClock clock;
  const base::TimePoint give_up = clock.now() + command.timeout;
  const native::Backup order{.request = 1,
                             .shard = command.shards.front(),
                             .name = command.name,
                             .order = base::random_identity()};
  if (!ask<native::BackupOrdered>(command, native::encode(order), exit)) return exit;
  const std::string key = coordination::backups_prefix + command.shards.front();
  const native::Directory question{.request = 1, .prefix = key};
  while (clock.now() < give_up) {
    const auto members = ask<native::Members>(command, native::encode(question), exit);
    if (!members) return exit;
    for (const auto& [of, value] : members->members) {
      const auto outcome = coordination::parse_backup(value);
      if (of != key || !outcome || outcome->order != order.order) continue;
      if (outcome->error.empty()) return print_result(outcome->path + "\n");
      return fail(Exit::refused, escaped(command.shards.front()) + ": " + escaped(outcome->error));
    }
    std::this_thread::sleep_for(poll_period);
  }
  return fail(Exit::no_answer, escaped(command.shards.front()) +
                                   ": not done in time; the backup may still be written");
}

Exit move(const Command& command) {
  Exit exit = Exit::ok;
  const native::Place order{.request = 1, .partition = command.subject, .shards = command.shards};
  ask<native::Placed>(command, native::encode(order), exit);
  return exit;
}

Exit split(const Command& command) {
  Exit exit = Exit::ok;
  const native::Split order{.request = 1, .subtree = command.subject};
  ask<native::SplitOrdered>(command, native::encode(order), exit);
  return exit;
}

}  // namespace

Exit run(Command command) {
  if (!command.own_key.empty()) {
    auto keys = read_keys(command.own_key, command.server_key);
    if (!keys) return fail(Exit::wrong_usage, keys.error());
    command.cluster.keys = std::move(*keys);
  }
  switch (command.action) {
    case Action::put:
    case Action::erase: return write(command);
    case Action::get: return get(command);
    case Action::list: return list(command);
    case Action::watch: return Watcher(command).run();
    case Action::status: return show_status(command);
    case Action::clients: return show_clients(command);
    case Action::kick: return kick(command);
    case Action::drain: return drain(command);
    case Action::reload: return reload(command);
    case Action::elect: return elect(command);
    case Action::backup: return backup(command);
    case Action::move: return move(command);
    case Action::split: return split(command);
    case Action::keygen: return keygen(command);
  }
  return Exit::wrong_usage;
}

}  // namespace canopy::client::cli
