// Which client writes which key and watches which prefix. Pure; immutable after construction.
//
// The first writers are the clients that publish. Then follows one writer for each key that is
// loaded before any client joins.
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
  // Fails when a key is invalid, two writers share a key, or a client watches no key.
  static base::Result<Layout> make(const Options& options, std::uint32_t clients);

  std::uint32_t clients() const { return clients_; }
  std::uint32_t publishers() const { return publishers_; }
  std::uint32_t writers() const { return static_cast<std::uint32_t>(keys_.size()); }
  const std::string& key(std::uint32_t writer) const { return keys_[writer]; }
  const std::string& watched_by(std::uint32_t client) const {
    return prefixes_[client % prefixes_.size()];
  }
  // By writer: whether `client` watches the writer's key.
  const std::vector<bool>& visible_to(std::uint32_t client) const {
    return visible_[client % prefixes_.size()];
  }
  // The writer of this key.
  std::optional<std::uint32_t> owner(std::string_view key) const;

 private:
  base::Status add(std::string key, const char* option);

  std::uint32_t clients_ = 0;
  std::uint32_t publishers_ = 0;
  std::vector<std::string> keys_;           // per writer
  std::vector<std::string> prefixes_;       // per part
  std::vector<std::vector<bool>> visible_;  // per part
  std::unordered_map<std::string, std::uint32_t> owners_;
};

}  // namespace canopy::loadtest
