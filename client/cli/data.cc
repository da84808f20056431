#include "client/cli/data.h"

#include <algorithm>
#include <chrono>

#include "client/cli/hint.h"
#include "client/cli/input.h"
#include "client/cli/json.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/session_call.h"
#include "client/cli/text.h"
#include "client/cli/write_lines.h"
#include "core/base/limits.h"
#include "core/wire/native.h"

namespace canopy::client::cli {
namespace {

constexpr base::Duration hint_timeout = std::chrono::seconds(1);

std::int64_t unix_ms() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// The hint for a write or a get, if it applies. The command is done and does not fail if the keys
// that the hint depends on cannot be read.
std::string hint_after(const Command& command) {
  std::string hint = hint_for(command);
  const std::string condition = condition_of_hint(command);
  if (hint.empty() || condition.empty()) return hint;
  if (condition.size() > base::max_key_bytes) return {};  // no key is that long
  Command check = command;
  check.action = Action::list;
  check.subject = condition;
  check.timeout = std::min(command.timeout, hint_timeout);
  return SessionCall(check).list(1).entries.empty() ? "" : hint;
}

std::string text_of(const Command& command, const Answer::Entry& entry, std::int64_t now_ms) {
  if (command.keys_only) return escaped(entry.key) + "\n";
  return command.json ? json_line(entry_json(entry, now_ms)) : entry_line(entry);
}

}  // namespace

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
  const Answer answer = SessionCall(command).write({std::move(write)});
  if (!answer.ok()) return fail(command, answer);
  const Exit exit = print_result(std::to_string(answer.revision.value()) + "\n");
  if (const std::string hint = hint_after(command); !hint.empty()) complain(hint);
  return exit;
}

Exit get(const Command& command) {
  const Answer answer = SessionCall(command).get();
  if (!answer.ok()) return fail(command, answer);
  if (answer.entries.empty()) {
    const std::string hint = hint_after(command);
    return fail(Exit::absent,
                escaped(command.subject) + " is absent" + (hint.empty() ? "" : " (" + hint + ")"));
  }
  const Answer::Entry& entry = answer.entries.front();
  if (command.json) return print_result(json_line(entry_json(entry, unix_ms())));
  if (command.verbose) return print_result(entry_table(entry, unix_ms()));
  return print_result(prints_to_terminal() ? entry.value + "\n" : entry.value);
}

Exit list(const Command& command) {
  const Answer answer = SessionCall(command).list(command.limit);
  if (!answer.ok()) return fail(command, answer);
  std::string text;
  std::uint64_t count = 0;
  const std::int64_t now_ms = unix_ms();
  for (const Answer::Entry& entry : answer.entries) {
    if (command.limit != 0 && ++count > command.limit) break;
    text += text_of(command, entry, now_ms);
  }
  const std::string hint = answer.entries.empty() ? hint_for(command) : std::string();
  if (!hint.empty()) complain(hint);
  return print_result(text);
}

Exit apply(const Command& command) {
  LineReader reader;
  std::vector<wire::Write> writes;
  for (std::string line; reader.wait_and_read(line);) {
    auto write = parse_write_line(line);
    if (write && writes.size() < wire::native::max_writes) {
      writes.push_back(std::move(*write));
      continue;
    }
    return fail(Exit::wrong_usage,
                "line " + std::to_string(reader.line_number()) + ": " +
                    (write ? "more than " + std::to_string(wire::native::max_writes) + " writes"
                           : write.error()));
  }
  if (!reader.error().empty()) return fail(Exit::broken, reader.error());
  if (writes.empty()) return Exit::ok;
  const Answer answer = SessionCall(command).write(std::move(writes));
  if (!answer.ok()) return fail(command, answer);
  return print_result(std::to_string(answer.revision.value()) + "\n");
}

}  // namespace canopy::client::cli
