#include "client/cli/hint.h"

#include "client/cli/text.h"

namespace canopy::client::cli {
namespace {

constexpr std::string_view one_key = "this is one key";

bool is_of_subtree(const Command& command) {
  return command.action == Action::list || command.action == Action::watch;
}

// The part of `pattern` before its first '*', up to a '/'.
std::string subtree_of(const std::string& pattern) {
  const std::size_t slash = pattern.substr(0, pattern.find('*')).rfind('/');
  return slash == std::string::npos ? "*" : pattern.substr(0, slash + 1);
}

std::string with_slash(const std::string& subject) {
  return subject.starts_with('/') ? subject : "/" + subject;
}

// In a key '*' is an ordinary character.
std::string star_hint(const Command& command) {
  const std::string subtree = subtree_of(command.subject);
  const std::string all = subtree == "*" ? subtree : with_slash(subtree);
  return "'*' stands for itself in a key: `canopy list " + escaped(all) + "` prints " +
         (all == "*" ? "everything" : "what is below it");
}

}  // namespace

std::string hint_for(const Command& command) {
  const std::string& subject = command.subject;
  if (subject.empty()) return {};
  if (subject.find('*') != std::string::npos) return star_hint(command);
  const bool is_key = !is_of_subtree(command);
  if (command.action == Action::erase && subject.ends_with('/')) {
    return std::string(one_key) + ": the keys below it are not deleted (see --subtree)";
  }
  if (command.action == Action::get && subject.ends_with('/')) {
    return std::string(one_key) + ": `canopy list " + escaped(with_slash(subject)) +
           "` prints what is below it";
  }
  std::string why;
  std::string meant = subject;
  if (!is_key && !subject.ends_with('/')) {
    why = "a subtree ends with '/'";
    meant += '/';
  }
  if (!subject.starts_with('/')) {
    why += std::string(why.empty() ? "" : ", and ") + "keys usually begin with '/'";
    meant = with_slash(meant);
  }
  if (why.empty() && command.action == Action::get) {
    return "there are keys below it: `canopy list " + escaped(subject) + "/` prints them";
  }
  if (why.empty()) return {};
  return why + ": did you mean " + escaped(meant) + "?";
}

std::string condition_of_hint(const Command& command) {
  const std::string& subject = command.subject;
  if (subject.find('*') != std::string::npos) return {};
  if (command.action == Action::get) {
    return subject.starts_with('/') && !subject.ends_with('/') ? subject + "/" : "";
  }
  if (subject.starts_with('/') || hint_for(command).starts_with(one_key)) return {};
  const std::size_t slash = subject.find('/');
  return slash == std::string::npos ? "/" + subject : "/" + subject.substr(0, slash + 1);
}

}  // namespace canopy::client::cli
