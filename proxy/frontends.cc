#include "proxy/frontends.h"

#include "proxy/clone_frontend.h"
#include "proxy/native_frontend.h"

namespace canopy::proxy {
namespace {

namespace clone = wire::clone;

const std::optional<config::Endpoint>& endpoint_of(const config::Proxy& config,
                                                   clone::Dialect dialect) {
  switch (dialect) {
    case clone::Dialect::kvsimple: return config.kvsimple;
    case clone::Dialect::kvmsg: return config.kvmsg;
    case clone::Dialect::chp: return config.chp;
  }
  return config.kvsimple;
}

}  // namespace

std::vector<std::string> dialects(const config::Proxy& config) {
  std::vector<std::string> names;
  if (config.native) names.emplace_back("native");
  for (const clone::Dialect dialect : clone::dialects) {
    if (endpoint_of(config, dialect)) names.emplace_back(clone::name(dialect));
  }
  return names;
}

std::vector<std::unique_ptr<Frontend>> make_frontends(const config::Proxy& config, Metrics& metrics,
                                                      Backend& backend) {
  std::vector<std::unique_ptr<Frontend>> frontends;
  if (config.native) {
    frontends.push_back(std::make_unique<NativeFrontend>(config, metrics, backend));
  }
  for (const clone::Dialect dialect : clone::dialects) {
    if (const auto& first = endpoint_of(config, dialect)) {
      frontends.push_back(
          std::make_unique<CloneFrontend>(dialect, *first, config, metrics, backend));
    }
  }
  return frontends;
}

}  // namespace canopy::proxy
