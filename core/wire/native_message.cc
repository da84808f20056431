#include "core/wire/native_message.h"

#include <algorithm>
#include <string>

namespace canopy::wire::native {

Message open(std::string_view array) {
  Reader in(array);
  const std::uint32_t size = in.array("message", UINT32_MAX);
  if (size == 0) Reader::fail(Fault::malformed, "message", "has no kind");
  const std::uint64_t kind = in.number("kind");
  return {kind, size - 1, in};
}

Message open_frame(std::string_view frame) {
  if (frame.empty()) Reader::fail(Fault::malformed, "message", "is empty");
  if (static_cast<std::uint8_t>(frame.front()) != version) {
    Reader::fail(Fault::version_unknown, "version", "this is version " + std::to_string(version));
  }
  return open(frame.substr(1));
}

void fail_kind() { Reader::fail(Fault::kind_unknown, "kind", "is none known here"); }

void read_revisions(Reader& in, Revisions& out) {
  out.resize(in.map("revisions", max_partitions));
  for (PartitionRevision& each : out) {
    each.partition = in.subtree("partition");
    each.revision = in.revision("revision");
  }
  const auto name = &PartitionRevision::partition;
  if (!std::ranges::is_sorted(out, {}, name)) std::ranges::sort(out, {}, name);
  if (std::ranges::adjacent_find(out, {}, name) != out.end()) {
    Reader::fail(Fault::malformed, "revisions", "name a partition twice");
  }
}

}  // namespace canopy::wire::native
