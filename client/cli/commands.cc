#include "client/cli/commands.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

#include "client/cli/bulk.h"
#include "client/cli/call.h"
#include "client/cli/clients.h"
#include "client/cli/completion.h"
#include "client/cli/data.h"
#include "client/cli/keygen.h"
#include "client/cli/output.h"
#include "client/cli/ping.h"
#include "client/cli/refusal.h"
#include "client/cli/status.h"
#include "client/cli/text.h"
#include "client/cli/watcher.h"
#include "client/keys.h"
#include "core/base/directory_lock.h"
#include "core/coordination/backup.h"
#include "core/coordination/coordinator.h"
#include "core/wire/member.h"

namespace canopy::client::cli {
namespace {

namespace native = wire::native;

constexpr auto poll_period = std::chrono::milliseconds(100);

bool is_served(const native::Members& members, const std::string& partition) {
  return std::ranges::any_of(members.members, [&](const auto& each) {
    const auto shard = wire::parse_shard_member(each.second);
    return shard && std::ranges::any_of(shard->partitions, [&](const auto& state) {
             return state.subtree == partition && state.serves();
           });
  });
}

// The answer of the wanted kind; else one line on standard error says why there is none.
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

// One question per prefix: the answer fits into one frame, however many partitions there are.
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

// The proxies that the command is for; else one line on standard error says why.
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

// Asks each proxy that can be asked. Each keeps its answer, or the reason why there is none.
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

// The broker takes the order once. What the shards announce shows whether it was carried out.
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

// The broker takes the order once. The shard announces the outcome.
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
    case Action::put: return write(command);
    case Action::erase: return command.subtree ? delete_subtree(command) : write(command);
    case Action::import_: return import_entries(command);
    case Action::apply: return apply(command);
    case Action::ping: return Pinger(command).run();
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
    case Action::completion: return print_result(completion_script(command.subject));
  }
  return Exit::wrong_usage;
}

}  // namespace canopy::client::cli
