#include "client/cli/watcher.h"

#include <unistd.h>

#include <csignal>

#include "client/cli/hint.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/refusal.h"
#include "client/cli/text.h"

namespace canopy::client::cli {
namespace {

using namespace std::chrono_literals;

constexpr WatchId only_watch = 1;
constexpr std::size_t flush_early_bytes = std::size_t{64} << 10;

// The signals end the program even while a write to standard output blocks.
void end_on_signals() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { _exit(0); });
}

}  // namespace

Watcher::Watcher(const Command& command) : command_(command), loop_(command.cluster, *this) {
  const auto latest = std::chrono::duration_cast<std::chrono::milliseconds>(command.latest);
  const base::TimePoint now = loop_.loop().now();
  deadline_ = now + command.timeout;
  loop_.loop().every(50ms, [this] { check_deadline(); });
  loop_.loop().on_turn_end([this] { flush(); });
  if (can_lose_reader()) loop_.loop().on_hangup(STDOUT_FILENO, [] { std::raise(SIGPIPE); });
  loop_.session().watch(only_watch,
                        {.subtree = command.subject,
                         .latest_ms = static_cast<std::uint32_t>(latest.count()),
                         .lz4 = true},
                        now);
}

Exit Watcher::run() {
  end_on_signals();
  if (!exit_) loop_.run();
  return exit_.value_or(Exit::ok);
}

void Watcher::changed(WatchId, const Change& change) {
  has_entry_ = true;
  print_later(change_line(change, command_.json));
}

void Watcher::synced(WatchId, const Synced& synced) {
  const std::string hint = synced_ || has_entry_ ? std::string() : hint_for(command_);
  if (!hint.empty()) complain(hint);
  synced_ = true;
  print_later(resync_line(synced.how, command_.json));
}

void Watcher::missed(WatchId, std::optional<std::uint64_t> updates) {
  print_later(gap_line(updates, command_.json));
}

void Watcher::refused(WatchId, const Answer& why) {
  const std::string subject = command_.subject.empty() ? "*" : escaped(command_.subject);
  end(Exit::refused, subject + ": " + refusal_text(command_.action, why.number, why.text));
}

void Watcher::contact(bool present) {
  deadline_ = loop_.loop().now() + command_.timeout;
  if (!present) complain("connection lost: looking for a proxy");
  if (present && lost_) complain("connected again, to " + loop_.session().target().name);
  lost_ = !present;
}

void Watcher::print_later(const std::string& line) {
  deadline_ = loop_.loop().now() + command_.timeout;
  lines_ += line;
  if (lines_.size() >= flush_early_bytes) flush();
}

void Watcher::flush() {
  if (exit_) return;
  const auto status = print(lines_);
  lines_.clear();
  if (!status) end(Exit::broken, status.error());
}

void Watcher::end(Exit exit, const std::string& why) {
  if (exit_) return;
  exit_ = exit;
  complain(why);
  loop_.stop();
}

void Watcher::check_deadline() {
  if (synced_ || loop_.loop().now() < deadline_) return;
  end(Exit::no_answer, loop_.standstill());
}

}  // namespace canopy::client::cli
