// /api/v1/clients of a proxy: its connections as a JSON array, those with most queued bytes first.
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

// How long a thread of the HTTP server waits for the loop.
inline constexpr base::Duration loop_patience = std::chrono::seconds(1);
// Of the array; a response of the HTTP server may have twice as much.
inline constexpr std::size_t max_document_bytes = std::size_t{4} << 20;

// From any thread but the loop's: calls `list` in the loop and waits for what it returns; 503 when
// that takes too long. `list` may be called later then, while the loop runs.
metrics::HttpDocument clients_document(net::Loop& loop, const std::string& proxy,
                                       std::function<std::vector<wire::native::ClientInfo>()> list,
                                       base::Duration patience = loop_patience);

// Leaves out those with least queued when the array would become larger than `max_bytes`.
std::string to_json(const std::string& proxy, std::vector<wire::native::ClientInfo> clients,
                    std::size_t max_bytes = max_document_bytes);

}  // namespace canopy::proxy
