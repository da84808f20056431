// A GET for small documents of the cluster's own HTTP sides: one connection, bounded in time and
// size. Blocking.
#pragma once

#include <chrono>
#include <string>

#include "core/base/result.h"

namespace canopy::metrics {

struct HttpResponse {
  int status = 0;
  std::string body{};
};

// The address at which this machine reaches its process that is bound to `bound` (HOST:PORT),
// perhaps on every interface.
std::string local_address(const std::string& bound);

// `address` is HOST:PORT.
base::Result<HttpResponse> http_get(const std::string& address, const std::string& path,
                                    std::chrono::milliseconds timeout = std::chrono::seconds(3));

// Sends `request` as it is; returns the response, up to the end of the connection.
base::Result<std::string> http_exchange(const std::string& address, const std::string& request,
                                        std::chrono::milliseconds timeout);

}  // namespace canopy::metrics
