// Which key each client writes and which prefix it watches. Pure; immutable after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "loadtest/options.h"

namespace canopy::loadtest {

class Layout {
 public:
  // Fails when a key is not valid, two clients share one, or some client would see nothing.
  static base::Result<Layout> make(const Options& options, std::uint32_t clients);

  std::uint32_t clients() const { return static_cast<std::uint32_t>(keys_.size()); }
  const std::string& key(std::uint32_t client) const { return keys_[client]; }
  const std::string& watched_by(std::uint32_t client) const {
    return prefixes_[client % prefixes_.size()];
  }
  // One element per publisher: whether `client` watches its key.
  const std::vector<bool>& visible_to(std::uint32_t client) const {
    return visible_[client % prefixes_.size()];
  }
  // Who writes this key.
  std::optional<std::uint32_t> owner(std::string_view key) const;

 private:
  std::vector<std::string> keys_;           // per client
  std::vector<std::string> prefixes_;       // per part
  std::vector<std::vector<bool>> visible_;  // per part
  std::unordered_map<std::string, std::uint32_t> owners_;
};

}  // namespace canopy::loadtest
