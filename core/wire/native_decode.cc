// What clients read: streams and answers.
#include <lz4.h>

#include <limits>

#include "core/wire/native_message.h"

namespace canopy::wire::native {
namespace {

constexpr std::size_t smallest_entry = 5;

void read_entry(Reader& in, Entry& entry) {
  const std::uint32_t fields = in.array("entry", 5);
  if (fields != 3) Reader::require("entry", fields, 5);
  entry.key = in.key("key");
  entry.revision = in.revision("revision");
  entry.deleted = in.nil();
  entry.value = entry.deleted ? std::string_view() : in.value("value");
  entry.expires_at_ms = fields == 5 ? in.signed_number("expires_at_ms") : 0;
  entry.properties = fields == 5 ? in.properties("properties") : std::string_view();
}

// Exactly `count` entries, which fill the bytes.
void read_entries(std::string_view bytes, std::uint32_t count, std::vector<Entry>& out) {
  if (bytes.size() > max_entries_bytes || count > max_entries) {
    Reader::fail(Fault::too_large, "entries", "are too many for one message");
  }
  if (count > bytes.size() / smallest_entry) {
    Reader::fail(Fault::malformed, "entries", "are cut short");
  }
  Reader in(bytes);
  out.resize(count);
  for (Entry& entry : out) read_entry(in, entry);
  in.end("entries");
}

void unpack(std::string_view block, std::size_t raw_bytes, std::string& out) {
  if (raw_bytes > max_entries_bytes || block.size() > max_entries_bytes) {
    Reader::fail(Fault::too_large, "raw_bytes", "is beyond the limit");
  }
  out.resize(raw_bytes);
  const int length = LZ4_decompress_safe(block.data(), out.data(), static_cast<int>(block.size()),
                                         static_cast<int>(raw_bytes));
  if (length < 0 || static_cast<std::size_t>(length) != raw_bytes) {
    Reader::fail(Fault::malformed, "entries", "are not an LZ4 block of raw_bytes");
  }
}

void read_batch(Message& message, Batch& out) {
  message.wants("batch", 5);
  Reader& in = message.in;
  out.header.incarnation = in.number("incarnation");
  out.header.after = in.number("after");
  out.header.count = in.small_number("count", 0, max_entries);
  if (out.header.count > std::numeric_limits<std::uint64_t>::max() - out.header.after) {
    Reader::fail(Fault::bad_field, "count", "is beyond the last position");
  }
  read_revisions(in, out.header.revisions);
  const std::uint64_t raw_bytes = in.number("raw_bytes");
  std::string_view entries = in.rest();
  if (raw_bytes > 0) {
    unpack(entries, raw_bytes, out.unpacked);
    entries = out.unpacked;
  }
  read_entries(entries, out.header.count, out.entries);
}

Move read_move(Message& message) {
  message.wants("move", 1);
  const Move move{.within_ms = message.in.small_number("within_ms")};
  message.in.end("move");
  return move;
}

Chunk read_chunk(Message& message) {
  message.wants("chunk", 9);
  Reader& in = message.in;
  Chunk chunk;
  ChunkHeader& header = chunk.header;
  header.request = in.number("request");
  header.number = in.small_number("number");
  header.partition = in.subtree("partition");
  header.mode = static_cast<ChunkHeader::Mode>(in.number("mode", 0, 1));
  header.revision = in.revision("revision");
  header.more = static_cast<ChunkHeader::More>(in.number("more", 0, 2));
  header.incarnation = in.number("incarnation");
  header.position = in.number("position");
  header.count = in.small_number("count", 0, max_entries);
  read_entries(in.rest(), header.count, chunk.entries);
  return chunk;
}

Refusal read_refusal(Message& message) {
  message.wants("refusal", 4);
  Reader& in = message.in;
  Refusal refusal;
  refusal.request = in.number("request");
  // Of a number that is not known here, its range still tells what to do.
  refusal.fault = static_cast<Fault>(in.number("fault", 1, 63));
  refusal.text = in.text("text");
  refusal.revision = in.revision("revision");
  in.end("refusal");
  return refusal;
}

FromProxy read_from_proxy(Message message) {
  if (message.is(Kind::chunk)) return read_chunk(message);
  if (message.is(Kind::refusal)) return read_refusal(message);
  if (!message.is(Kind::written)) fail_kind();
  message.wants("written", 2);
  Written written;
  written.request = message.in.number("request");
  written.revision = message.in.revision("revision");
  message.in.end("written");
  return written;
}

Members read_members(Message& message) {
  message.wants("members", 2);
  Reader& in = message.in;
  Members members;
  members.request = in.number("request");
  const std::uint32_t count = in.array("members", max_entries);
  for (std::uint32_t i = 0; i < count; ++i) {
    in.array_of("member", 2);
    const std::string_view key = in.text("key");
    members.members.emplace_back(key, in.text("value"));
  }
  in.end("members");
  return members;
}

Reloaded read_reloaded(Message& message) {
  message.wants("reloaded", 2);
  Reader& in = message.in;
  Reloaded reloaded{.request = in.number("request")};
  const std::uint32_t count = in.array("settings", max_entries);
  for (std::uint32_t i = 0; i < count; ++i) reloaded.settings.emplace_back(in.text("setting"));
  in.end("reloaded");
  return reloaded;
}

FromBroker read_from_broker(Message message) {
  if (message.is(Kind::members)) return read_members(message);
  if (message.is(Kind::reloaded)) return read_reloaded(message);
  if (message.is(Kind::refusal)) return read_refusal(message);
  if (!message.is(Kind::drained)) fail_kind();
  message.wants("drained", 1);
  const Drained drained{.request = message.in.number("request")};
  message.in.end("drained");
  return drained;
}

}  // namespace

base::Result<std::optional<Move>> decode_stream(std::string_view frame, Batch& out) {
  return attempt([&]() -> std::optional<Move> {
    const std::string_view topic = topic_of(frame);
    if (topic.empty()) Reader::fail(Fault::malformed, "topic", "is none");
    Message message = open(frame.substr(topic.size()));
    if (message.is(Kind::move)) return read_move(message);
    if (!message.is(Kind::batch)) fail_kind();
    read_batch(message, out);
    return std::nullopt;
  });
}

base::Result<FromProxy> decode_from_proxy(std::string_view frame) {
  return attempt([&] { return read_from_proxy(open_frame(frame)); });
}

base::Result<FromBroker> decode_from_broker(std::string_view frame) {
  return attempt([&] { return read_from_broker(open_frame(frame)); });
}

}  // namespace canopy::wire::native
