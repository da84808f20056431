#include "core/wire/unpack.h"

#include "core/base/limits.h"
#include "core/keyspace/key.h"

namespace canopy::wire {

void Reader::fail(Fault fault, const char* field, std::string_view why) {
  throw Unreadable{fault, std::string(field) + ": " + std::string(why)};
}

template <unsigned Size>
std::uint64_t Reader::not_negative(const char* field) {
  const std::uint64_t value = big_endian<Size>(field);
  if (value >> (8 * Size - 1) != 0) fail(Fault::bad_field, field, "is negative");
  return value;
}

std::uint64_t Reader::number(const char* field) {
  const unsigned tag = this->tag(field);
  if (tag < 0x80) return tag;
  switch (tag) {
    case 0xcc: return big_endian<1>(field);
    case 0xcd: return big_endian<2>(field);
    case 0xce: return big_endian<4>(field);
    case 0xcf: return big_endian<8>(field);
    case 0xd0: return not_negative<1>(field);
    case 0xd1: return not_negative<2>(field);
    case 0xd2: return not_negative<4>(field);
    case 0xd3: return not_negative<8>(field);
    default: break;
  }
  if (tag >= 0xe0) fail(Fault::bad_field, field, "is negative");
  fail(Fault::malformed, field, "wants an integer");
}

bool Reader::boolean(const char* field) {
  const unsigned tag = this->tag(field);
  if (tag != 0xc2 && tag != 0xc3) fail(Fault::malformed, field, "wants a boolean");
  return tag == 0xc3;
}

std::string_view Reader::text(const char* field) {
  const unsigned tag = this->tag(field);
  if (tag >> 5 == 0b101) return view(field, tag & 31);
  switch (tag) {
    case 0xd9: return view(field, big_endian<1>(field));
    case 0xda: return view(field, big_endian<2>(field));
    case 0xdb: return view(field, big_endian<4>(field));
    default: fail(Fault::malformed, field, "wants a str");
  }
}

std::string_view Reader::bytes(const char* field, std::size_t limit) {
  std::uint64_t size = 0;
  switch (tag(field)) {
    case 0xc4: size = big_endian<1>(field); break;
    case 0xc5: size = big_endian<2>(field); break;
    case 0xc6: size = big_endian<4>(field); break;
    default: fail(Fault::malformed, field, "wants a bin");
  }
  const std::string_view bytes = view(field, size);
  if (size > limit) fail(Fault::too_large, field, "is beyond the limit");
  return bytes;
}

std::string_view Reader::key(const char* field) {
  const std::string_view key = text(field);
  const auto fault = keyspace::check_key(key);
  if (fault != keyspace::KeyFault::none) fail(Fault::bad_key, field, keyspace::to_reason(fault));
  return key;
}

std::string_view Reader::subtree(const char* field) {
  const std::string_view subtree = text(field);
  if (!keyspace::is_subtree(subtree)) fail(Fault::bad_subtree, field, "is not a subtree");
  return subtree;
}

std::string_view Reader::value(const char* field) { return bytes(field, base::max_value_bytes); }

std::string_view Reader::properties(const char* field) {
  return bytes(field, base::max_properties_bytes);
}

// A length that is possible: each element takes at least so many bytes.
std::uint32_t Reader::count(const char* field, std::uint64_t claimed,
                            std::size_t bytes_each) const {
  if (claimed > left() / bytes_each) fail(Fault::malformed, field, "is cut short");
  return static_cast<std::uint32_t>(claimed);
}

std::uint32_t Reader::array(const char* field) {
  const unsigned tag = this->tag(field);
  if (tag >> 4 == 0b1001) return count(field, tag & 15, 1);
  switch (tag) {
    case 0xdc: return count(field, big_endian<2>(field), 1);
    case 0xdd: return count(field, big_endian<4>(field), 1);
    default: fail(Fault::malformed, field, "wants an array");
  }
}

std::uint32_t Reader::array(const char* field, std::size_t limit) {
  const std::uint32_t size = array(field);
  if (size > limit) fail(Fault::too_large, field, "has too many elements");
  return size;
}

std::uint32_t Reader::map(const char* field, std::size_t limit) {
  std::uint32_t size = 0;
  const unsigned tag = this->tag(field);
  if (tag >> 4 == 0b1000) {
    size = count(field, tag & 15, 2);
  } else if (tag == 0xde) {
    size = count(field, big_endian<2>(field), 2);
  } else if (tag == 0xdf) {
    size = count(field, big_endian<4>(field), 2);
  } else {
    fail(Fault::malformed, field, "wants a map");
  }
  if (size > limit) fail(Fault::too_large, field, "has too many elements");
  return size;
}

}  // namespace canopy::wire
