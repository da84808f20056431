// Writes the keys that a run is to find when its clients join, and deletes them after it.
#pragma once

#include "core/base/result.h"
#include "loadtest/worker.h"

namespace canopy::loadtest {

// In a process of its own; return when all has been acknowledged, which the board then says of
// what was loaded.
base::Status load_keys(const WorkerPlan& plan);
base::Status unload_keys(const WorkerPlan& plan);

}  // namespace canopy::loadtest
