// Splits a stream of JSON objects, such as the answer of etcd's gateway to a watch, into its
// objects, in whatever pieces the stream arrives. White space may stand between objects. It does
// not check the content of an object. Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace canopy::coordination {

class JsonSplitter {
 public:
  using Object = std::function<void(std::string_view object)>;

  // An object of more than `max_bytes` is refused before it is buffered.
  explicit JsonSplitter(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls `found` for each object that `bytes` completes. False when the stream is malformed, or an
  // object is too long; feed nothing after that.
  bool feed(std::string_view bytes, const Object& found);

 private:
  bool step(char c);

  std::size_t max_bytes_;
  std::string object_{};  // the beginning of an incomplete object
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace canopy::coordination
