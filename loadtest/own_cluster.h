// A cluster that the harness starts for itself when none answers, with its state in a temporary
// directory, and takes down again. Not thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/access/keys.h"
#include "core/base/result.h"
#include "loadtest/child.h"
#include "loadtest/topology.h"

namespace canopy::loadtest {

// The topology of the cluster at this HTTP address, once it is ready, which may take half a minute.
// With `process`, the broker itself may still be starting; without, it is there or this fails.
base::Result<Topology> wait_until_ready(const std::string& broker, Child* process = nullptr);

class OwnCluster {
 public:
  OwnCluster() = default;
  OwnCluster(OwnCluster&& other) noexcept;
  OwnCluster& operator=(OwnCluster&& other) noexcept;
  ~OwnCluster();

  // The broker beside this program's own executable, on this configuration; returns when the
  // cluster is ready. `http` is the broker's HTTP address as the configuration has it.
  // With `security` it is given keys, made for it, and knows no client but the harness.
  static base::Result<OwnCluster> start(const std::string& config, const std::string& http,
                                        bool security = false);

  // Those of the harness, if it has `security`.
  const std::optional<access::ClientKeys>& keys() const { return keys_; }

 private:
  // Writes the configuration with keys added; returns its path.
  base::Result<std::string> secure(const std::string& config);
  // The last lines of what the broker wrote.
  std::string last_words() const;

  std::filesystem::path directory_;
  Child broker_;
  std::optional<access::ClientKeys> keys_;
};

}  // namespace canopy::loadtest
