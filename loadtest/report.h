// The report of a run as text: the table, the verdict, JSON and CSV. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loadtest/options.h"
#include "loadtest/step.h"

namespace canopy::loadtest {

struct Verdict {
  std::vector<std::string> reasons{};  // why it fails
  bool pass() const { return reasons.empty(); }
};

// A run fails on a violation (validators.h), a corrupted update, a client that is not served, a
// write that is refused or not answered, or a process that uses over 90 % of its descriptors.
Verdict evaluate(const std::vector<StepResult>& steps);

// The load in one line.
std::string describe_load(const Options& options);

// The table, with columns of fixed width.
std::string table_header();
std::string table_row(const StepResult& step);
// The same, by cell.
std::vector<std::string> table_heads();
std::vector<std::string> table_cells(const StepResult& step);
// The lines below a row: processes, joins, violations and further counts.
std::string table_details(const StepResult& step);

std::string verdict_line(const Verdict& verdict);

nlohmann::json to_json(const Options& options, const std::vector<StepResult>& steps,
                       const Verdict& verdict);
std::string to_csv(const std::vector<StepResult>& steps);

}  // namespace canopy::loadtest
