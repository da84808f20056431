#include "loadtest/layout.h"

#include <algorithm>

#include "core/keyspace/key.h"

namespace canopy::loadtest {
namespace {

std::string replaced(std::string text, std::string_view what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

}  // namespace

base::Status Layout::add(std::string key, const char* option) {
  if (const auto fault = keyspace::check_key(key); fault != keyspace::KeyFault::none) {
    return base::Error{std::string(option) + ": '" + key + "' is not a key (" +
                       std::string(keyspace::to_reason(fault)) + ")"};
  }
  if (!owners_.emplace(key, writers()).second) {
    return base::Error{std::string(option) + ": two clients would write '" + key + "'"};
  }
  keys_.push_back(std::move(key));
  return {};
}

base::Result<Layout> Layout::make(const Options& options, std::uint32_t clients) {
  Layout layout;
  layout.clients_ = clients;
  layout.publishers_ = options.publishers
                           ? std::min(static_cast<std::uint32_t>(*options.publishers), clients)
                           : clients;
  const auto parts = static_cast<std::uint32_t>(options.subtrees);
  for (std::uint32_t part = 0; part < parts; ++part) {
    layout.prefixes_.push_back(parts == 1 ? options.subtree
                                          : options.subtree + "g" + std::to_string(part) + "/");
  }
  for (std::uint32_t client = 0; client < layout.publishers_; ++client) {
    const std::uint32_t part = client % parts;
    const std::string pattern = options.keys.empty() ? layout.prefixes_[part] + "%i"
                                                     : options.keys[client % options.keys.size()];
    auto key = replaced(pattern, "%g", std::to_string(part));
    key = replaced(std::move(key), "%i", std::to_string(client));
    if (auto added = layout.add(std::move(key), "--keys"); !added)
      return base::Error{added.error()};
  }
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(options.keys_loaded); ++i) {
    auto key = layout.prefixes_[i % parts] + "k" + std::to_string(i);
    if (auto added = layout.add(std::move(key), "--keys-loaded"); !added) {
      return base::Error{added.error()};
    }
  }
  for (std::uint32_t part = 0; part < std::min(parts, clients); ++part) {
    std::vector<bool> visible;
    for (const auto& key : layout.keys_) visible.push_back(key.starts_with(layout.prefixes_[part]));
    if (std::find(visible.begin(), visible.end(), true) == visible.end()) {
      return base::Error{"--keys: no client writes a key below '" + layout.prefixes_[part] +
                         "', which clients would watch"};
    }
    layout.visible_.push_back(std::move(visible));
  }
  return layout;
}

std::optional<std::uint32_t> Layout::owner(std::string_view key) const {
  const auto found = owners_.find(std::string(key));
  if (found == owners_.end()) return {};
  return found->second;
}

}  // namespace canopy::loadtest
