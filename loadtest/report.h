// What the harness says: the table, the verdict, JSON and CSV. Pure.
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

// Fails on a violation that a validator has found (see validators.h), on anything corrupted, on
// clients not served, on writes refused or not answered, and on a process that uses more than 90 %
// of its descriptors.
Verdict judge(const std::vector<StepResult>& steps);

// One line: what each client does.
std::string describe_load(const Options& options);

// The table: its columns are as wide in every line.
std::string table_header();
std::string table_row(const StepResult& step);
// The same, cell by cell.
std::vector<std::string> table_heads();
std::vector<std::string> table_cells(const StepResult& step);
// Below a row: each process, and what else there is to say.
std::string table_details(const StepResult& step);

std::string verdict_line(const Verdict& verdict);

nlohmann::json to_json(const Options& options, const std::vector<StepResult>& steps,
                       const Verdict& verdict);
std::string to_csv(const std::vector<StepResult>& steps);

}  // namespace canopy::loadtest
