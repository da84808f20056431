#include "client/cli/bulk.h"

#include <unistd.h>

#include <utility>

#include "client/cli/input.h"
#include "client/cli/output.h"
#include "client/cli/refusal.h"
#include "client/cli/session_call.h"
#include "client/cli/text.h"
#include "client/cli/write_lines.h"

namespace canopy::client::cli {
namespace {

// "/a/k: forbidden: …"
std::string reason(const Command& command, const BulkWriter::Failure& failure) {
  const Answer& answer = failure.answer;
  return escaped(failure.key) + ": " + refusal_text(command.action, answer.number, answer.text);
}

}  // namespace

BulkWriter::BulkWriter(const Command& command, WriteSource source)
    : command_(command), source_(std::move(source)), loop_(command.cluster, *this) {
  loop_.loop().on_turn_end([this] { send_more(); });
}

void BulkWriter::run() {
  send_more();
  if (!ended_ || !under_way_.empty()) loop_.run();
  if (failure_ && failure_->answer.number == timed_out) {
    if (!contact_) failure_->answer.text = loop_.standstill();
    failure_->answer.text += " (it may have been applied)";
  }
}

void BulkWriter::send_more() {
  while (!ended_ && !waiting_ && !failure_ && under_way_.size() < max_under_way &&
         bytes_ < max_bytes) {
    wire::Write write;
    const SourceState state = source_(write);
    ended_ = state == SourceState::end;
    if (state == SourceState::wait) {
      waiting_ = true;
      loop_.loop().on_readable(STDIN_FILENO, [this] {
        loop_.loop().remove(STDIN_FILENO);
        waiting_ = false;  // send_more() follows at the end of this turn
      });
    }
    if (state != SourceState::write) break;
    const std::size_t bytes = write.bytes();
    bytes_ += bytes;
    under_way_[++last_] = {write.key, bytes};
    loop_.session().write(last_, {std::move(write)}, loop_.loop().now(), command_.timeout);
  }
  if ((ended_ || failure_) && under_way_.empty()) loop_.stop();
}

void BulkWriter::answered(CallId call, Answer answer) {
  auto write = under_way_.extract(call);
  bytes_ -= write.mapped().bytes;
  if (answer.ok()) {
    ++written_;
  } else if (!failure_ || call < failure_->number) {
    failure_ = {call, std::move(write.mapped().key), std::move(answer)};
  }
}

Exit import_entries(const Command& command) {
  LineReader reader;
  std::string fault;
  const auto next = [&](wire::Write& write) {
    std::string line;
    switch (reader.read(line)) {
      case LineReader::State::wait: return SourceState::wait;
      case LineReader::State::end: return SourceState::end;
      case LineReader::State::line: break;
    }
    auto parsed = parse_entry_line(line);
    if (!parsed) {
      fault = "line " + std::to_string(reader.line_number()) + ": " + parsed.error();
      return SourceState::end;
    }
    write = std::move(*parsed);
    return SourceState::write;
  };
  BulkWriter writer(command, next);
  writer.run();
  const std::string count = " (" + std::to_string(writer.written()) + " written)";
  if (writer.failure()) {
    return fail(exit_of(writer.failure()->answer), reason(command, *writer.failure()) + count);
  }
  if (!fault.empty()) return fail(Exit::wrong_usage, fault + count);
  if (!reader.error().empty()) return fail(Exit::broken, reader.error() + count);
  return print_result(std::to_string(writer.written()) + "\n");
}

Exit delete_subtree(const Command& command) {
  const Answer listed = SessionCall(command).list();
  if (!listed.ok()) return fail(command, listed);
  auto entry = listed.entries.begin();
  const auto next = [&](wire::Write& write) {
    if (entry == listed.entries.end()) return SourceState::end;
    write = {.key = (entry++)->key, .deletes = true};
    return SourceState::write;
  };
  BulkWriter writer(command, next);
  writer.run();
  if (writer.failure()) {
    return fail(
        exit_of(writer.failure()->answer),
        reason(command, *writer.failure()) + " (" + std::to_string(writer.written()) + " deleted)");
  }
  return print_result(std::to_string(writer.written()) + "\n");
}

}  // namespace canopy::client::cli
