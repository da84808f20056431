// A cluster that the load test starts, with its state in a temporary directory, and stops at the
// end. Not thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/access/keys.h"
#include "core/base/result.h"
#include "loadtest/measure/child.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

// Waits up to 30 s until the cluster at this HTTP address is ready. Fails at once when no broker
// answers, unless `process` is a broker that may still be starting.
base::Result<Topology> wait_until_ready(const std::string& broker,
                                        measure::Child* process = nullptr);

class OwnCluster {
 public:
  OwnCluster() = default;
  OwnCluster(OwnCluster&& other) noexcept;
  OwnCluster& operator=(OwnCluster&& other) noexcept;
  ~OwnCluster();

  // Runs canopy-broker from this executable's directory and returns when the cluster is ready.
  // `http` is the broker's HTTP address in `config`. With `security`, adds new CURVE keys to the
  // configuration, which then permits only keys().
  static base::Result<OwnCluster> start(const std::string& config, const std::string& http,
                                        bool security = false);

  // The clients' keys, with `security`.
  const std::optional<access::ClientKeys>& keys() const { return keys_; }

 private:
  // Writes `config` with new keys added; returns the path.
  base::Result<std::string> secure(const std::string& config);
  // The last lines of the broker's log.
  std::string log_tail() const;

  std::filesystem::path directory_;
  measure::Child broker_;
  std::optional<access::ClientKeys> keys_;
};

}  // namespace canopy::loadtest
