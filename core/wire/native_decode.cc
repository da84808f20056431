// What clients read: batches and replies.
#include <lz4.h>

#include <limits>

#include "core/wire/native_broker.h"
#include "core/wire/native_message.h"

namespace canopy::wire::native {
namespace {

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
  out.header.stream = in.number("stream");
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

void read_chunk(Message& message, Chunk& chunk) {
  message.wants("chunk", 6);
  Reader& in = message.in;
  ChunkHeader& header = chunk.header;
  header.request = in.number("request");
  header.partition = in.subtree("partition");
  header.mode = static_cast<ChunkHeader::Mode>(in.number("mode", 0, 1));
  header.revision = in.revision("revision");
  header.more = static_cast<ChunkHeader::More>(in.number("more", 0, 2));
  header.count = in.small_number("count", 0, max_entries);
  read_entries(in.rest(), header.count, chunk.entries);
}

Welcome read_welcome(Message& message) {
  message.wants("welcome", 2);
  Welcome welcome{.request = message.in.number("request")};
  welcome.proxy = message.in.text("proxy");
  message.in.end("welcome");
  return welcome;
}

Written read_written(Message& message) {
  message.wants("written", 2);
  Written written{.number = message.in.number("number")};
  written.revision = message.in.revision("revision");
  message.in.end("written");
  return written;
}

CaughtUp read_caught_up(Message& message) {
  message.wants("caught_up", 3);
  CaughtUp caught_up{.request = message.in.number("request")};
  caught_up.stream = message.in.number("stream");
  caught_up.position = message.in.number("position");
  message.in.end("caught_up");
  return caught_up;
}

Got read_got(Message& message) {
  message.wants("entry", 2);
  Got got{.request = message.in.number("request")};
  if (message.in.number("count", 0, 1) == 1) read_entry(message.in, got.entry.emplace());
  message.in.end("entry");
  return got;
}

Gap read_gap(Message& message) {
  message.wants("gap", 2);
  Gap gap{.request = message.in.number("request")};
  if (!message.in.nil()) gap.missed = message.in.number("missed");
  message.in.end("gap");
  return gap;
}

Refusal read_refusal(Message& message) {
  message.wants("refusal", 5);
  Reader& in = message.in;
  Refusal refusal;
  refusal.request = in.number("request");
  // Of a number that is not known here, its range still tells what to do.
  refusal.fault = static_cast<Fault>(in.number("fault", 1, 63));
  refusal.text = in.text("text");
  refusal.revision = in.revision("revision");
  refusal.of = in.small_number("of");
  in.end("refusal");
  return refusal;
}

// The alternative of this type, whose memory is used again if `out` holds one.
template <typename Wanted>
Wanted& reuse(FromProxy& out) {
  if (auto* held = std::get_if<Wanted>(&out)) return *held;
  return out.emplace<Wanted>();
}

void read_from_proxy(Message message, FromProxy& out) {
  switch (static_cast<Kind>(message.kind)) {
    case Kind::batch: return read_batch(message, reuse<Batch>(out));
    case Kind::chunk: return read_chunk(message, reuse<Chunk>(out));
    case Kind::welcome: out = read_welcome(message); return;
    case Kind::written: out = read_written(message); return;
    case Kind::caught_up: out = read_caught_up(message); return;
    case Kind::entry: out = read_got(message); return;
    case Kind::pong: out = read_numbered<Pong>(message, "pong"); return;
    case Kind::gap: out = read_gap(message); return;
    case Kind::move: out = read_move(message); return;
    case Kind::refusal: out = read_refusal(message); return;
    case Kind::client_list: out = read_client_list(message); return;
    case Kind::kicked: out = read_numbered<Kicked>(message, "kicked"); return;
    default: fail_kind();
  }
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
  if (message.is(Kind::drained)) return read_numbered<Drained>(message, "drained");
  if (message.is(Kind::elected)) return read_numbered<Elected>(message, "elected");
  if (message.is(Kind::backup_ordered)) {
    return read_numbered<BackupOrdered>(message, "backup_ordered");
  }
  if (message.is(Kind::placed)) return read_numbered<Placed>(message, "placed");
  if (message.is(Kind::split_ordered)) {
    return read_numbered<SplitOrdered>(message, "split_ordered");
  }
  fail_kind();
}

}  // namespace

base::Status decode_from_proxy(std::string_view frame, FromProxy& out) {
  try {
    read_from_proxy(open_frame(frame), out);
    return {};
  } catch (const Unreadable& unreadable) {
    return base::Error{unreadable.text};
  }
}

base::Result<FromBroker> decode_from_broker(std::string_view frame) {
  return attempt([&] { return read_from_broker(open_frame(frame)); });
}

}  // namespace canopy::wire::native
