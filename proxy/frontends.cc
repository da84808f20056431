#include "proxy/frontends.h"

#include "proxy/clone_frontend.h"
#include "proxy/native_frontend.h"

namespace canopy::proxy {

std::vector<std::string> dialects(const config::Proxy& config) {
  std::vector<std::string> names;
  if (config.native) names.emplace_back("native");
  if (config.kvsimple) names.emplace_back(wire::clone::name(wire::clone::Dialect::kvsimple));
  if (config.kvmsg) names.emplace_back(wire::clone::name(wire::clone::Dialect::kvmsg));
  if (config.chp) names.emplace_back(wire::clone::name(wire::clone::Dialect::chp));
  return names;
}

std::vector<std::unique_ptr<Frontend>> make_frontends(const config::Proxy& config, Metrics& metrics,
                                                      Backend& backend) {
  std::vector<std::unique_ptr<Frontend>> frontends;
  if (config.native) {
    frontends.push_back(std::make_unique<NativeFrontend>(config, metrics, backend));
  }
  const auto add_clone = [&](wire::clone::Dialect dialect,
                             const std::optional<config::Endpoint>& first) {
    if (!first) return;
    frontends.push_back(std::make_unique<CloneFrontend>(dialect, *first, config, metrics, backend));
  };
  add_clone(wire::clone::Dialect::kvsimple, config.kvsimple);
  add_clone(wire::clone::Dialect::kvmsg, config.kvmsg);
  add_clone(wire::clone::Dialect::chp, config.chp);
  return frontends;
}

}  // namespace canopy::proxy
