// The status page: one document that needs nothing but /api/v1/status and
// /api/v1/clients/PROXY of the broker it came from.
// Made of broker/page/ when the build is configured.
#pragma once

#include <string_view>

namespace canopy::broker {

extern const std::string_view page_html;
// What the page may do: run its own script and ask the broker; nothing else.
extern const std::string_view page_policy;

}  // namespace canopy::broker
