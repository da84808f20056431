// How every message of the native protocol opens; shared by its decoders alone.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/wire/native.h"
#include "core/wire/unpack.h"

namespace canopy::wire::native {

// The array that a message is: what comes next is its first field.
struct Message {
  std::uint64_t kind = 0;
  std::uint32_t fields = 0;
  Reader in;

  bool is(Kind expected) const { return kind == static_cast<std::uint64_t>(expected); }
  void wants(const char* name, std::uint32_t count) const { Reader::require(name, fields, count); }
};

// Like Reader, these throw Unreadable.
Message open(std::string_view array);
// A frame of its own: opens with the version.
Message open_frame(std::string_view frame);
[[noreturn]] void fail_kind();
ClientList read_client_list(Message& message);
// A message whose only field is a request number, which is `least` or more.
template <typename Numbered>
Numbered read_numbered(Message& message, const char* name, std::uint64_t least = 0) {
  message.wants(name, 1);
  const Numbered numbered{.request = message.in.number("request", least, UINT64_MAX)};
  message.in.end(name);
  return numbered;
}
// Into `out`, whose memory is used again; in order of the partitions.
void read_revisions(Reader& in, Revisions& out);

}  // namespace canopy::wire::native
