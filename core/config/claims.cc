#include "core/config/claims.h"

#include <algorithm>
#include <cassert>
#include <filesystem>

#include "core/base/limits.h"
#include "core/base/text.h"

namespace canopy::config {
namespace {

// The clash of two values, reported at the place of the later one.
base::Error clash_error(const std::string& text, const Place& place, const std::string& other_text,
                        const Place& other) {
  if (other.line > place.line) return clash_error(other_text, other, text, place);
  const std::string where = other.line == 0 ? other.key + ", its default"
                                            : other.key + " on line " + std::to_string(other.line);
  return place.error(text + " clashes with " + other_text + " of " + where);
}

std::string show_ports(const std::string& text, const base::Address& address, int count) {
  if (count == 1 || !address.port) return text;
  return text + " (ports " + std::to_string(*address.port) + " to " +
         std::to_string(*address.port + count - 1) + ")";
}

}  // namespace

base::Error Place::error(const std::string& what) const {
  std::string where = file;
  if (!where.empty()) where += ":" + std::to_string(std::max(line, 1)) + ": ";
  if (!key.empty()) where += key + ": ";
  return base::Error{base::one_line(where + what)};
}

std::string Place::beside(const std::string& path) const {
  return (std::filesystem::path(file).parent_path() / path).string();
}

base::Status Claims::claim(Taken& taken, const Claim& wanted) {
  const auto [other, is_first] = taken.try_emplace(wanted.value, wanted);
  if (is_first) return {};
  return clash_error(wanted.text, wanted.place, other->second.text, other->second.place);
}

base::Status Claims::name(const std::string& name, const Place& place) {
  if (names_.size() >= base::max_processes && place.line > 0) {  // the broker needs no place
    return place.error("is process " + std::to_string(names_.size() + 1) +
                       " of the file: a cluster has at most " +
                       std::to_string(base::max_processes));
  }
  return claim(names_, {name, "the name '" + name + "'", place});
}

base::Status Claims::subtree(const std::string& subtree, const std::string& text,
                             const Place& place) {
  if (subtrees_.size() == base::max_partitions) {
    return place.error("is partition " + std::to_string(subtrees_.size() + 1) +
                       " of the file: a cluster has at most " +
                       std::to_string(base::max_partitions));
  }
  return claim(subtrees_, {subtree, "the subtree " + base::quoted(text), place});
}

base::Status Claims::client(const std::string& name, const Place& place) {
  return claim(clients_, {name, "the client '" + name + "'", place});
}

base::Status Claims::key(const std::string& key, const std::string& owner, const Place& place) {
  return claim(keys_, {key, "the key of " + owner, place});
}

base::Status Claims::address(const std::string& text, const base::Address& address, int count,
                             const Place& place) {
  const std::string shown = show_ports(text, address, count);
  for (const Listener& other : listeners_) {
    if (base::clash(address, count, other.address, other.count)) {
      return clash_error(shown, place, other.text, other.place);
    }
  }
  listeners_.push_back({address, count, shown, place});
  return {};
}

const Place& Claims::place_of_name(const std::string& name) const {
  const auto found = names_.find(name);
  assert(found != names_.end());
  return found->second.place;
}

const Place& Claims::place_of_subtree(const std::string& subtree) const {
  const auto found = subtrees_.find(subtree);
  assert(found != subtrees_.end());
  return found->second.place;
}

bool Claims::root_is_owned() const { return subtrees_.contains(""); }

}  // namespace canopy::config
