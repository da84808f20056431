// A GET for small documents of the cluster's own HTTP sides: one connection, bounded in time and
// size. Blocking.
#pragma once

#include <chrono>
#include <string>

#include "core/base/result.h"

namespace canopy::loadtest {

struct HttpResponse {
  int status = 0;
  std::string body{};
};

// `address` is HOST:PORT.
base::Result<HttpResponse> http_get(const std::string& address, const std::string& path,
                                    std::chrono::milliseconds timeout = std::chrono::seconds(3));

}  // namespace canopy::loadtest
