#include "client/cli/session_call.h"

#include "client/cli/output.h"
#include "client/cli/refusal.h"
#include "client/cli/text.h"

namespace canopy::client::cli {
namespace {

constexpr CallId only_call = 1;

std::string mismatch(const Command& command, keyspace::Revision found) {
  const std::string key = escaped(command.subject);
  const std::string wanted = std::to_string(command.if_revision->value());
  if (found.value() == 0) return key + " is absent, not at revision " + wanted;
  const std::string revision = std::to_string(found.value());
  if (command.if_revision->value() == 0) return key + " exists, at revision " + revision;
  return key + " has revision " + revision + ", not " + wanted;
}

}  // namespace

SessionCall::SessionCall(const Command& command)
    : command_(command), loop_(command.cluster, *this) {}

Answer SessionCall::write(std::vector<wire::Write> writes) {
  loop_.session().write(only_call, std::move(writes), loop_.loop().now(), command_.timeout);
  return wait();
}

Answer SessionCall::get() {
  loop_.session().get(only_call, command_.subject, loop_.loop().now(), command_.timeout);
  return wait();
}

Answer SessionCall::list(std::uint64_t limit) {
  loop_.session().list(only_call, command_.subject, loop_.loop().now(), command_.timeout, limit);
  return wait();
}

Answer SessionCall::wait() {
  if (!answer_) loop_.run();
  if (answer_->number == timed_out) explain();
  return std::move(*answer_);
}

// The session does not name the process that it could not reach.
void SessionCall::explain() {
  if (!contact_) answer_->text = loop_.standstill();
  if (writes(command_.action) && sent_) answer_->text += " (it may have been applied)";
}

void SessionCall::answered(CallId, Answer answer) {
  answer_ = std::move(answer);
  sent_ |= loop_.session().linked();
  loop_.stop();
}

void SessionCall::contact(bool present) {
  contact_ = present;
  sent_ |= present;
}

bool writes(Action action) {
  return action == Action::put || action == Action::erase || action == Action::apply;
}

Exit exit_of(const Answer& answer) {
  const bool final = answer.number < static_cast<unsigned>(wire::Fault::partition_unavailable);
  return final ? Exit::refused : Exit::no_answer;
}

Exit fail(const Command& command, const Answer& answer) {
  const bool mismatched = answer.number == static_cast<unsigned>(wire::Fault::revision_mismatch);
  if (mismatched && command.if_revision) {
    return fail(Exit::refused, mismatch(command, answer.revision));
  }
  const std::string subject = command.action == Action::apply ? "not applied"
                              : command.subject.empty()       ? "*"
                                                              : escaped(command.subject);
  return fail(exit_of(answer),
              subject + ": " + refusal_text(command.action, answer.number, answer.text));
}

}  // namespace canopy::client::cli
