// The guarantees that a step is checked for, by name. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "loadtest/step.h"

namespace canopy::loadtest {

struct Validator {
  const char* name;
  // Nothing when the protocol does not guarantee this.
  std::optional<std::uint64_t> (*violations)(const StepResult& step);
};

inline constexpr std::array validators{
    Validator{"Ordered",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                return s.totals.faults.out_of_order;
              }},
    Validator{"Unique",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                return s.totals.faults.repeated;
              }},
    Validator{"GapDetected",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                return s.totals.faults.lost - s.totals.faults.lost_at_join;
              }},
    Validator{"SnapshotComplete",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                return s.totals.faults.lost_at_join + s.totals.faults.incomplete;
              }},
    Validator{
        "Converged",
        [](const StepResult& s) -> std::optional<std::uint64_t> { return s.not_converged(); }},
    Validator{"Filtered",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                return s.totals.faults.unfiltered;
              }},
    Validator{"AppliedOnce",
              [](const StepResult& s) -> std::optional<std::uint64_t> {
                if (!s.native) return std::nullopt;
                return s.totals.faults.misapplied;
              }},
};

}  // namespace canopy::loadtest
