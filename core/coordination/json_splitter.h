// Cuts a stream of JSON objects, as etcd's gateway answers a watch with, into its objects, however
// the stream arrives. Between two objects there may be white space. What an object holds is the
// business of a JSON parser. Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace canopy::coordination {

class JsonSplitter {
 public:
  using Object = std::function<void(std::string_view object)>;

  // An object of more than `max_bytes` is refused before it is held.
  explicit JsonSplitter(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls `found` for each object that `bytes` completes. False when the stream is no such stream,
  // or an object is too long; nothing may follow then.
  bool feed(std::string_view bytes, const Object& found);

 private:
  bool step(char c);

  std::size_t max_bytes_;
  std::string object_{};  // what has arrived of it before
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace canopy::coordination
