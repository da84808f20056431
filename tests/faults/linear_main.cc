// Checks whether the histories of many keys are linearizable. Reads one operation a line:
//
//   KEY CALL RETURN KIND EXPECTED VALUE HINT     RETURN is - when the result is unknown
//
// Prints a line for each key that is not linearizable, and a summary. Exits 1 if there is such a
// key.
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "tests/faults/linear.h"

namespace {

using namespace canopy::faults;

struct Line {
  Operation operation;
  std::string text;
};

bool parse(const std::string& text, std::string& key, Operation& operation) {
  static const std::map<std::string, Operation::Kind> kinds = {{"set", Operation::Kind::set},
                                                               {"swap", Operation::Kind::swap},
                                                               {"is", Operation::Kind::is},
                                                               {"isnt", Operation::Kind::isnt}};
  std::istringstream in(text);
  std::string returned, kind;
  if (!(in >> key >> operation.call >> returned >> kind)) return false;
  if (!(in >> operation.expected >> operation.value >> operation.hint)) return false;
  if (!kinds.contains(kind)) return false;
  operation.kind = kinds.at(kind);
  if (returned != "-") operation.returned = std::stoll(returned);
  return true;
}

}  // namespace

int main() {
  std::map<std::string, std::vector<Line>> keys;
  std::size_t operations = 0, steps = 0, wrong = 0;
  for (std::string text; std::getline(std::cin, text); ++operations) {
    std::string key;
    Line line{{}, text};
    if (!parse(text, key, line.operation)) {
      std::fprintf(stderr, "not an operation: %s\n", text.c_str());
      return 2;
    }
    keys[key].push_back(std::move(line));
  }
  for (const auto& [key, lines] : keys) {
    std::vector<Operation> history;
    for (const Line& line : lines) history.push_back(line.operation);
    const Verdict verdict = check(history);
    steps += verdict.steps;
    if (verdict.outcome == Verdict::Outcome::linearizable) continue;
    ++wrong;
    if (verdict.outcome == Verdict::Outcome::unknown) {
      std::printf("%s: the search is too long\n", key.c_str());
    } else {
      std::printf("%s: no order includes: %s\n", key.c_str(), lines[verdict.blocked].text.c_str());
    }
  }
  std::printf("%zu operations on %zu keys, %zu steps, %zu keys wrong\n", operations, keys.size(),
              steps, wrong);
  return wrong == 0 ? 0 : 1;
}
