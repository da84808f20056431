// What one peer of a PUB or XPUB has subscribed to. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace canopy::zmtp {

// A topic counts as often as it was subscribed to and not cancelled (RFC 29). A cancellation of
// what is not subscribed to changes nothing.
class Subscriptions {
 public:
  // Whether that is the first of its topic, or the last.
  bool begin(std::string_view topic);
  bool end(std::string_view topic);

  // Whether some topic is a prefix of the message.
  bool matches(std::string_view message) const;

  // Different topics.
  std::size_t size() const { return counts_.size(); }

 private:
  std::map<std::string, std::size_t, std::less<>> counts_;
};

}  // namespace canopy::zmtp
