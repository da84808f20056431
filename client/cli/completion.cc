#include "client/cli/completion.h"

#include <algorithm>

#include "client/cli/usage.h"

namespace canopy::client::cli {
namespace {

// In single quotes, for any of the three shells.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> long_options(const Usage& usage) {
  std::vector<std::string> names = options_of(usage);
  for (std::string& name : names) name = "--" + name;
  return names;
}

std::string words(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : " ") + each;
  return text;
}

// What the value of an option, or the argument of a command, may be.
struct Choice {
  const char* name;
  const char* values;  // null: a file or directory
};
constexpr Choice option_choices[] = {
    {"sort", "queue missed age name connection"},
    {"key", nullptr},
    {"server-key", nullptr},
    {"directory", nullptr},
};
constexpr const char* shells = "bash zsh fish";

std::string bash_script() {
  std::string commands, cases;
  for (const Usage& usage : usages) {
    commands += (commands.empty() ? "" : " ") + usage.name;
    cases += "    " + usage.name + ") words='" + words(long_options(usage)) +
             (usage.name == "completion" ? std::string(" ") + shells : "") + "' ;;\n";
  }
  std::string values, files, free;
  for (const Option& option : options) {
    const auto choice = std::ranges::find(option_choices, option.name, &Choice::name);
    if (option.placeholder.empty()) continue;
    std::string& group = choice == std::end(option_choices) ? free
                         : choice->values == nullptr        ? files
                                                            : values;
    if (&group == &values) {
      values += "    --" + option.name + ") words='" + choice->values + "' ;;\n";
    } else {
      group += (group.empty() ? "--" : "|--") + option.name;
    }
  }
  return "# bash completion of canopy(1)\n"
         "_canopy() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  local command='' words='" +
         commands +
         " --help --version' i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \" " +
         commands +
         " \" in *\" ${COMP_WORDS[i]} \"*) command=${COMP_WORDS[i]}; break ;; esac\n"
         "  done\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  case $previous in\n"
         "    " +
         files + ") compopt -o default; return ;;\n    " + free + ") return ;;\n" + values +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -F _canopy canopy\n";
}

std::string zsh_script() {
  std::string commands, cases;
  for (const Usage& usage : usages) {
    commands += "    " + quoted(usage.name + ":" + usage.summary) + "\n";
    cases += "    " + usage.name + ") compadd -- " + words(long_options(usage)) +
             (usage.name == "completion" ? std::string(" ") + shells : "") + " ;;\n";
  }
  std::string values;
  for (const Choice& choice : option_choices) {
    values += "    --" + std::string(choice.name) + ") " +
              (choice.values == nullptr ? "_files" : std::string("compadd ") + choice.values) +
              "; return ;;\n";
  }
  return "#compdef canopy\n"
         "_canopy() {\n"
         "  local -a commands=(\n" +
         commands +
         "  )\n"
         "  local command='' i\n"
         "  for ((i = 2; i < CURRENT; i++)); do\n"
         "    (( ${commands[(I)${words[i]}:*]} )) && { command=${words[i]}; break }\n"
         "  done\n"
         "  case ${words[CURRENT-1]} in\n" +
         values +
         "  esac\n"
         "  case $command in\n"
         "    '') _describe command commands; compadd -- --help --version ;;\n" +
         cases +
         "  esac\n"
         "}\n"
         "_canopy \"$@\"\n";
}

std::string fish_script() {
  std::string commands, lines;
  for (const Usage& usage : usages) {
    commands += (commands.empty() ? "" : " ") + usage.name;
    lines += "complete -c canopy -n \"not __fish_seen_subcommand_from $commands\" -a " +
             usage.name + " -d " + quoted(usage.summary) + "\n";
    const std::string seen =
        "complete -c canopy -n '__fish_seen_subcommand_from " + usage.name + "' ";
    if (usage.name == "completion") lines += seen + "-a '" + shells + "'\n";
    const std::vector<std::string> names = options_of(usage);
    for (const Option& option : options) {
      if (std::ranges::find(names, option.name) == names.end()) continue;
      const auto choice = std::ranges::find(option_choices, option.name, &Choice::name);
      lines += seen + "-l " + option.name;
      if (!option.placeholder.empty() && choice == std::end(option_choices)) lines += " -x";
      if (choice != std::end(option_choices)) {
        lines +=
            choice->values == nullptr ? " -r -F" : " -x -a '" + std::string(choice->values) + "'";
      }
      lines += " -d " + quoted(option.help) + "\n";
    }
  }
  return "# fish completion of canopy(1)\nset -l commands " + commands +
         "\ncomplete -c canopy -f\n" + lines;
}

}  // namespace

std::string completion_script(const std::string& shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return {};
}

}  // namespace canopy::client::cli
