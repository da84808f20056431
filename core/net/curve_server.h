// The CURVE keys of this process's listeners, and the names that its peers' keys stand for.
#pragma once

#include "core/access/keys.h"
#include "core/net/loop.h"
#include "core/zmtp/curve_server.h"

namespace canopy::net {

// As zmtp::CurveServer::of(). Logs each key that `names` does not know, at most once a minute.
zmtp::CurveServer curve_server(const access::KeyPair& keys, const Loop& loop,
                               zmtp::CurveServer::Authorize names);

}  // namespace canopy::net
