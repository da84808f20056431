// Endpoints (core/base/endpoint.h) as the settings use them.
#pragma once

#include "core/base/endpoint.h"

namespace canopy::config {

using base::Address;
using base::check_advertise;
using base::check_endpoint;
using base::check_fixed_endpoint;
using base::check_http_address;
using base::check_triple_endpoint;
using base::clash;
using base::is_any_host;
using base::parse_endpoint;
using base::parse_http_address;

}  // namespace canopy::config
