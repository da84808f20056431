// The load test's report as one HTML page that needs nothing else: no script, no request. Pure.
#pragma once

#include <string>
#include <vector>

#include "loadtest/options.h"
#include "loadtest/report.h"
#include "loadtest/step.h"

namespace canopy::loadtest {

// `when`: the time of the run, as people read it.
std::string to_html(const Options& options, const std::vector<StepResult>& steps,
                    const Verdict& verdict, const std::string& when);

}  // namespace canopy::loadtest
