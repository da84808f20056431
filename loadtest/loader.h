// Writes the keys of --keys-loaded before the clients join, and deletes them after the run.
#pragma once

#include "core/base/result.h"
#include "loadtest/worker.h"

namespace canopy::loadtest {

// Both fork a process and return when the cluster has acknowledged all writes. load_keys() records
// the acknowledgements in plan.acks.
base::Status load_keys(const WorkerPlan& plan);
base::Status unload_keys(const WorkerPlan& plan);

}  // namespace canopy::loadtest
