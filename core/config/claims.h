// The values that must be unique in a cluster: names, owned subtrees, listening ports. Not
// thread-safe.
//
// Every section claims the values that it uses, defaults included. A second claim of a value is an
// error that shows both values and both places.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/endpoint.h"
#include "core/base/result.h"

namespace canopy::config {

// Where a value was read, for messages.
struct Place {
  std::string file;
  int line = 0;  // 1 is the first; 0: the value is a default that the file does not mention
  std::string key;

  base::Error error(const std::string& what) const;
  // A path that the file names, which is relative to the file.
  std::string beside(const std::string& path) const;
};

class Claims {
 public:
  base::Status name(const std::string& name, const Place& place);
  // `text` is as written, such as "*"; the subtree is as parsed, such as "".
  base::Status subtree(const std::string& subtree, const std::string& text, const Place& place);
  // `count` consecutive ports from `address` on.
  base::Status address(const std::string& text, const base::Address& address, int count,
                       const Place& place);
  // A client's name, and a public key: the cluster's or that of `owner`, a client.
  base::Status client(const std::string& name, const Place& place);
  base::Status key(const std::string& key, const std::string& owner, const Place& place);
  bool root_is_owned() const;
  // `place` names a shard, which the file may describe further below.
  void mention_shard(const std::string& name, const Place& place) {
    mentioned_shards_.emplace_back(name, place);
  }
  const std::vector<std::pair<std::string, Place>>& mentioned_shards() const {
    return mentioned_shards_;
  }
  // Remembers the place of a setting of a process ("p1.nofile") or partition ("/a/.replicas"), for
  // the checks at the end.
  void note(const std::string& setting, const Place& place) {
    noted_.insert_or_assign(setting, place);
  }
  const Place& noted(const std::string& setting) const { return noted_.at(setting); }
  // The place where the name was claimed, which it must have been.
  const Place& place_of_name(const std::string& name) const;
  const Place& place_of_subtree(const std::string& subtree) const;  // the same of a subtree

 private:
  struct Claim {
    std::string value;  // must be unique
    std::string text;   // as shown in errors
    Place place;
  };
  struct Listener {
    base::Address address;
    int count = 1;
    std::string text;
    Place place;
  };
  using Taken = std::map<std::string, Claim, std::less<>>;  // by value
  static base::Status claim(Taken& taken, const Claim& wanted);

  Taken names_, subtrees_, clients_, keys_;
  std::vector<Listener> listeners_;
  std::vector<std::pair<std::string, Place>> mentioned_shards_;
  std::map<std::string, Place> noted_;
};

}  // namespace canopy::config
