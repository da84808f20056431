#include "core/coordination/json_splitter.h"

namespace canopy::coordination {

// False for a character that cannot stand there.
bool JsonSplitter::step(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return true;
  }
  switch (c) {
    case '{': ++depth_; return true;
    case '}': return depth_-- > 0;
    case '"': in_string_ = true; break;
    case ' ':
    case '\t':
    case '\r':
    case '\n': return true;
    default: break;
  }
  return depth_ > 0;
}

bool JsonSplitter::feed(std::string_view bytes, const Object& found) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (depth_ == 0) begin = i;
    if (!step(bytes[i])) return false;
    if (depth_ == 0 && bytes[i] != '}') continue;
    const std::string_view rest = bytes.substr(begin, i + 1 - begin);
    if (object_.size() + rest.size() > max_bytes_) return false;
    if (depth_ > 0) continue;
    if (object_.empty()) {
      found(rest);
    } else {
      found(object_.append(rest));
      object_.clear();
    }
  }
  if (depth_ > 0) object_ += bytes.substr(begin);
  return true;
}

}  // namespace canopy::coordination
