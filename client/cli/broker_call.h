// One question to the brokers of a cluster, waited for.
#pragma once

#include <string>

#include "client/cli/cluster.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/wire/native.h"

namespace canopy::client::cli {

// All are asked at once. The first answer counts, and a refusal only when nobody answers better.
// The error: "no broker answered at A, B", and what the keys may have to do with it, since CURVE
// meets a stranger with silence.
base::Result<wire::native::FromBroker> ask_brokers(const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout);

}  // namespace canopy::client::cli
