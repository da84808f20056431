// What one peer of a PUB or XPUB has subscribed to. Pure.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace canopy::zmtp {

// One CANCEL ends a topic however often it was subscribed to, as with libzmq: its SUB passes on
// each SUBSCRIBE, and CANCEL with the last only. A CANCEL of what is not subscribed to changes
// nothing.
class Subscriptions {
 public:
  // Whether it was not there, or was.
  bool begin(std::string_view topic);
  bool end(std::string_view topic);

  // Whether some topic is a prefix of the message.
  bool matches(std::string_view message) const;

  // Different topics.
  std::size_t size() const { return topics_.size(); }

 private:
  std::set<std::string, std::less<>> topics_;
};

}  // namespace canopy::zmtp
