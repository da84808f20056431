// A forward reader of MessagePack that allocates nothing and refuses lengths beyond the bytes left.
// For the decoders of this folder alone. Not thread-safe.
//
// Returned views point into the bytes. Malformed input throws Unreadable, which each decoder
// catches at its entry point. `field` is the name of the field in the text of the error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/base/result.h"
#include "core/keyspace/revision.h"
#include "core/wire/fault.h"

namespace canopy::wire {

struct Unreadable {
  Fault fault = Fault::malformed;
  std::string text{};
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  std::uint64_t number(const char* field);
  // Fault::bad_field beyond the bounds.
  std::uint64_t number(const char* field, std::uint64_t min, std::uint64_t max) {
    const std::uint64_t value = number(field);
    if (value < min || value > max) fail(Fault::bad_field, field, "out of its bounds");
    return value;
  }
  std::uint32_t small_number(const char* field, std::uint32_t min = 0,
                             std::uint32_t max = UINT32_MAX) {
    return static_cast<std::uint32_t>(number(field, min, max));
  }
  std::int64_t signed_number(const char* field, std::int64_t max = INT64_MAX) {
    return static_cast<std::int64_t>(number(field, 0, static_cast<std::uint64_t>(max)));
  }
  keyspace::Revision revision(const char* field) { return keyspace::Revision(number(field)); }
  std::optional<keyspace::Revision> revision_or_nil(const char* field) {
    if (nil()) return std::nullopt;
    return revision(field);
  }
  bool boolean(const char* field);
  // Takes a nil, if that comes next.
  bool nil() {
    if (at_ == end_ || byte(*at_) != 0xc0) return false;
    ++at_;
    return true;
  }
  // A str.
  std::string_view text(const char* field);
  // A bin; Fault::too_large beyond the limit.
  std::string_view bytes(const char* field, std::size_t limit = SIZE_MAX);
  std::string_view key(const char* field);      // Fault::bad_key
  std::string_view subtree(const char* field);  // Fault::bad_subtree
  std::string_view value(const char* field);
  std::string_view properties(const char* field);

  // The length of an array or map, whose elements come next; Fault::too_large beyond the limit.
  std::uint32_t array(const char* field, std::size_t limit);
  std::uint32_t map(const char* field, std::size_t limit);
  // The head of an array of that many.
  void array_of(const char* field, std::uint32_t count) { require(field, array(field), count); }
  static void require(const char* field, std::uint32_t count, std::uint32_t expected) {
    if (count != expected) fail(Fault::malformed, field, "has the wrong number of fields");
  }

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  std::string_view rest() const { return {at_, left()}; }
  void end(const char* field) const {
    if (at_ != end_) fail(Fault::malformed, field, "has bytes after its end");
  }

  [[noreturn]] static void fail(Fault fault, const char* field, std::string_view why);

 private:
  static unsigned byte(char c) { return static_cast<unsigned char>(c); }
  std::uint32_t array(const char* field);
  std::uint32_t count(const char* field, std::uint64_t claimed, std::size_t bytes_each) const;

  const char* consume(const char* field, std::uint64_t size) {
    if (left() < size) fail(Fault::malformed, field, "is cut short");
    return std::exchange(at_, at_ + size);
  }
  unsigned tag(const char* field) { return byte(*consume(field, 1)); }
  template <unsigned Size>
  std::uint64_t big_endian(const char* field) {
    const char* from = consume(field, Size);
    std::uint64_t value = 0;
    for (unsigned i = 0; i < Size; ++i) value = value << 8 | byte(from[i]);
    return value;
  }
  template <unsigned Size>
  std::uint64_t not_negative(const char* field);
  std::string_view view(const char* field, std::uint64_t size) {
    return {consume(field, size), static_cast<std::size_t>(size)};
  }

  const char* at_;
  const char* end_;
};

// What `read` returns, or what it found Unreadable.
template <typename Read>
auto attempt(Read&& read) -> base::Result<std::invoke_result_t<Read>> {
  try {
    return read();
  } catch (const Unreadable& unreadable) {
    return base::Error{unreadable.text};
  }
}

}  // namespace canopy::wire
