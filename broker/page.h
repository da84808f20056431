// The status page: one HTML document that requests only /api/v1/status and /api/v1/clients/PROXY
// from its broker. Constants, made from broker/page/ when the build is configured.
#pragma once

#include <string_view>

namespace canopy::broker {

extern const std::string_view page_html;
// The Content-Security-Policy of the page: its own script and style, and requests to its broker.
extern const std::string_view page_policy;

}  // namespace canopy::broker
