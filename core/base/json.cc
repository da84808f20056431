#include "core/base/json.h"

#include <charconv>
#include <cmath>

#include "core/base/text.h"

namespace canopy::base::json {
namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// Each function reads one thing at the front of `rest_`, and is false when it is not there.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  bool document(Value& value) { return read(value, 0) && (skip_space(), rest_.empty()); }

 private:
  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool accept(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  bool read(Value& value, int depth) {
    if (depth > max_depth) return false;
    if (accept("null")) return true;
    if (accept("true")) return value = true, true;
    if (accept("false")) return value = false, true;
    if (accept("\"")) return read_string(value.emplace<std::string>());
    if (accept("[")) return read_array(value.emplace<Array>(), depth);
    if (accept("{")) return read_object(value.emplace<Object>(), depth);
    return read_number(value);
  }

  bool read_array(Array& array, int depth) {
    if (accept("]")) return true;
    do {
      if (!read(array.emplace_back(), depth + 1)) return false;
    } while (accept(","));
    return accept("]");
  }

  bool read_object(Object& object, int depth) {
    if (accept("}")) return true;
    do {
      std::string name;
      if (!accept("\"") || !read_string(name) || !accept(":")) return false;
      if (!read(object[name] = {}, depth + 1)) return false;
    } while (accept(","));
    return accept("}");
  }

  bool read_string(std::string& text) {
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        text += c;
      } else if (!read_escape(text)) {
        return false;
      }
    }
    return false;
  }

  bool read_escape(std::string& text) {
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c != 'u') {
      const std::size_t at = names.find(c);
      if (at == std::string_view::npos) return false;
      text += meanings[at];
      return true;
    }
    std::uint32_t code = 0, low = 0;
    if (!read_code_unit(code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {  // the first half of a surrogate pair
      if (!rest_.starts_with("\\u")) return false;
      rest_.remove_prefix(2);
      if (!read_code_unit(low) || low < 0xdc00 || low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      return false;
    }
    append_utf8(text, code);
    return true;
  }

  bool read_code_unit(std::uint32_t& unit) {
    if (rest_.size() < 4) return false;
    const auto [end, fault] = std::from_chars(rest_.data(), rest_.data() + 4, unit, 16);
    if (fault != std::errc() || end != rest_.data() + 4) return false;
    rest_.remove_prefix(4);
    return true;
  }

  bool read_number(Value& value) {
    const std::size_t size = std::min(rest_.find_first_not_of("+-.0123456789eE"), rest_.size());
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    if (!is_number(text)) return false;
    if (convert<std::uint64_t>(text, value) || convert<std::int64_t>(text, value)) return true;
    double number = 0;
    const auto fault = std::from_chars(text.data(), text.data() + text.size(), number).ec;
    value = fault == std::errc() ? number : HUGE_VAL;
    return true;
  }

  template <typename Number>
  static bool convert(std::string_view text, Value& value) {
    Number number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault != std::errc() || end != text.data() + text.size()) return false;
    value = number;
    return true;
  }

  // The grammar of RFC 8259, section 6, which is narrower than that of std::from_chars.
  static bool is_number(std::string_view text) {
    const auto digits = [&] {
      const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
      text.remove_prefix(count);
      return count;
    };
    const auto one_of = [&](std::string_view set) {
      if (text.empty() || set.find(text.front()) == std::string_view::npos) return false;
      text.remove_prefix(1);
      return true;
    };
    one_of("-");
    const bool leading_zero = text.starts_with('0');
    const std::size_t whole = digits();
    if (whole == 0 || (leading_zero && whole > 1)) return false;
    if (one_of(".") && digits() == 0) return false;
    if (one_of("eE") && (one_of("+-"), digits() == 0)) return false;
    return text.empty();
  }

  std::string_view rest_;
};

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef", marked = "\"\\\b\f\n\r\t",
                             names = "\"\\bfnrt";
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (const auto mark = marked.find(text[at]); mark != std::string_view::npos) {
      out += {'\\', names[mark]};
    } else if (byte < 0x20) {
      out.append("\\u00").append({digits[byte >> 4], digits[byte & 15]});
    } else {
      const std::size_t length = utf8_length(text.substr(at));
      out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(at, length);
      at += std::max<std::size_t>(length, 1);
      continue;
    }
    ++at;
  }
  out += '"';
}

struct Writer {
  void operator()(std::nullptr_t) { out += "null"; }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(const std::string& text) { append_string(out, text); }
  template <typename Number>
  void operator()(Number number) {
    char buffer[32];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
  }
  void operator()(const Array& array) {
    out += '[';
    for (const Value& each : array) {
      if (&each != &array.front()) out += ',';
      std::visit(*this, each);
    }
    out += ']';
  }
  void operator()(const Object& object) {
    out += '{';
    for (const auto& [name, value] : object) {
      if (out.back() != '{') out += ',';
      append_string(out, name);
      out += ':';
      std::visit(*this, value);
    }
    out += '}';
  }

  std::string& out;
};

}  // namespace

std::optional<Value> parse(std::string_view text) {
  Value value;
  if (!is_utf8(text) || !Parser(text).document(value)) return std::nullopt;
  return value;
}

std::string dump(const Value& value) {
  std::string text;
  std::visit(Writer{text}, value);
  return text;
}

}  // namespace canopy::base::json
