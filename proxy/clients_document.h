// /api/v1/clients of a proxy: its connections as a JSON array, longest queue first. Called by
// threads of the HTTP server; format: docs/reference/http.md.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/metrics/http.h"
#include "core/net/loop.h"
#include "core/wire/native.h"

namespace canopy::proxy {

// A thread of the HTTP server waits this long for the loop.
inline constexpr base::Duration loop_timeout = std::chrono::seconds(1);
// Of the array; the HTTP server sends at most twice as much.
inline constexpr std::size_t max_document_bytes = std::size_t{4} << 20;

// Calls `list` in the loop and waits for its result; 503 after `timeout`. The loop may still call
// `list` after that. Called from any thread but the loop's.
metrics::HttpDocument clients_document(net::Loop& loop, const std::string& proxy,
                                       std::function<std::vector<wire::native::ClientInfo>()> list,
                                       base::Duration timeout = loop_timeout);

// Leaves out the shortest queues when the array would exceed `max_bytes`.
std::string to_json(const std::string& proxy, std::vector<wire::native::ClientInfo> clients,
                    std::size_t max_bytes = max_document_bytes);

}  // namespace canopy::proxy
