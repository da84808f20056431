// What the decoders of link.h and replication.h share; for them alone. All throw Unreadable.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/wire/entry.h"
#include "core/wire/link.h"
#include "core/wire/link_kind.h"
#include "core/wire/unpack.h"

namespace canopy::wire {

inline constexpr std::size_t max_message_fields = 11;
inline constexpr std::size_t link_client_bytes = 16;  // of a client's id

// As many elements as the array before them says, each as `read` reads it.
template <typename Read>
auto read_all(Reader& in, const char* field, Read&& read, std::size_t limit = max_message_updates) {
  std::vector<std::invoke_result_t<Read, Reader&>> all;
  const std::uint32_t count = in.array(field, limit);
  all.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(read(in));
  return all;
}

// A number of elements that fill the rest; each takes at least so many bytes.
inline std::uint32_t read_count(Reader& in, const char* field, std::size_t bytes_each) {
  const std::uint32_t count = in.small_number(field, 0, max_message_updates);
  if (count > in.left() / bytes_each) Reader::fail(Fault::malformed, field, "are cut short");
  return count;
}

inline std::vector<keyspace::UpdatePtr> read_updates(Reader& in, std::uint32_t count) {
  std::vector<keyspace::UpdatePtr> updates;
  updates.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) updates.push_back(read_update(in));
  return updates;
}

// What a message opens with; its version is checked.
struct Opening {
  Kind kind{};
  std::uint32_t fields = 0;

  void wants(const char* name, std::uint32_t count) const { Reader::require(name, fields, count); }
};

inline Opening open(Reader& in) {
  const std::uint32_t size = in.array("message", max_message_fields);
  if (size < 2) Reader::fail(Fault::malformed, "message", "wants [version, kind, …]");
  if (in.number("version") != link_version) {
    Reader::fail(Fault::version_unknown, "message", "is of an unknown version");
  }
  return {static_cast<Kind>(in.small_number("kind")), size - 2};
}

[[noreturn]] inline void fail_kind() {
  Reader::fail(Fault::kind_unknown, "message", "is of unknown kind");
}

// What fills the bytes, as `read` reads it.
template <typename Read>
auto decode_whole(std::string_view bytes, Read&& read) {
  return attempt([&] {
    Reader in(bytes);
    auto result = read(in);
    in.end("message");
    return result;
  });
}

}  // namespace canopy::wire
