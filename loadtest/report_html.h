// The load test's report as one HTML page without scripts or further requests, and as a picture.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "loadtest/options.h"
#include "loadtest/report.h"
#include "loadtest/step.h"

namespace canopy::loadtest {

// `when`: the time of the run, for people.
std::string to_html(const Options& options, const std::vector<StepResult>& steps,
                    const Verdict& verdict, const std::string& when);

// An SVG picture of clients served and deliveries over the number of clients, a line for each
// target.
std::string to_svg(const std::vector<StepResult>& steps);

}  // namespace canopy::loadtest
