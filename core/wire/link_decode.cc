#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/entry.h"
#include "core/wire/link.h"
#include "core/wire/link_kind.h"
#include "core/wire/unpack.h"

namespace canopy::wire {
namespace {

using keyspace::Revision;
using keyspace::UpdatePtr;

constexpr std::size_t max_fields = 11;  // of a message
constexpr std::size_t id_bytes = 16;    // of a client

// As many elements as the array before them says, each as `read` reads it.
template <typename Read>
auto read_all(Reader& in, const char* field, Read&& read) {
  std::vector<std::invoke_result_t<Read, Reader&>> all;
  const std::uint32_t count = in.array(field, max_message_updates);
  all.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(read(in));
  return all;
}

// The updates that fill the rest, as many as the field before them says.
std::vector<UpdatePtr> read_updates(Reader& in) {
  const std::uint32_t count = in.small_number("count", 0, max_message_updates);
  if (count > in.left() / smallest_entry) {
    Reader::fail(Fault::malformed, "entries", "are cut short");
  }
  std::vector<UpdatePtr> updates;
  updates.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) updates.push_back(read_update(in));
  return updates;
}

Write read_write(Reader& in) {
  in.array_of("write", 7);
  Write write;
  write.key = in.key("key");
  write.deletes = in.nil();
  if (!write.deletes) write.value = in.value("value");
  write.ttl_ms = in.signed_number("ttl_ms");
  write.properties = in.properties("properties");
  write.uuid = in.bytes("uuid", base::max_uuid_bytes);
  write.once = in.boolean("once");
  write.if_revision = in.revision_or_nil("if_revision");
  return write;
}

RoutedRequest read_request(Reader& in) {
  in.array_of("request", 5);
  RoutedRequest routed;
  routed.reply_to = in.bytes("reply_to", max_reply_to_bytes);
  routed.request.client = in.bytes("client", id_bytes);
  routed.request.number = in.number("number");
  routed.request.settled = in.number("settled");
  routed.request.writes = read_all(in, "writes", read_write);
  return routed;
}

Answer read_answer(Reader& in) {
  in.array_of("answer", 5);
  Answer answer;
  answer.reply_to = in.bytes("reply_to", max_reply_to_bytes);
  answer.number = in.number("number");
  const std::uint64_t fault = in.number("fault");
  if (!known(fault)) Reader::fail(Fault::bad_field, "fault", "is none known here");
  answer.fault = static_cast<Fault>(fault);
  answer.text = in.text("text");
  answer.revision = in.revision("revision");
  return answer;
}

// What a message opens with; its version is checked.
struct Opening {
  Kind kind{};
  std::uint32_t fields = 0;

  void wants(const char* name, std::uint32_t count) const { Reader::require(name, fields, count); }
};

Opening open(Reader& in) {
  const std::uint32_t size = in.array("message", max_fields);
  if (size < 2) Reader::fail(Fault::malformed, "message", "wants [version, kind, …]");
  if (in.number("version") != link_version) {
    Reader::fail(Fault::version_unknown, "message", "is of an unknown version");
  }
  return {static_cast<Kind>(in.small_number("kind")), size - 2};
}

[[noreturn]] void fail_kind() {
  Reader::fail(Fault::kind_unknown, "message", "is of unknown kind");
}

ToShard read_to_shard(Reader& in) {
  const Opening message = open(in);
  switch (message.kind) {
    case Kind::writes: {
      message.wants("writes", 1);
      return Writes{.requests = read_all(in, "requests", read_request)};
    }
    case Kind::sync: {
      message.wants("sync", 4);
      Sync sync;
      sync.request = in.number("request");
      sync.partition = in.subtree("partition");
      sync.since = in.revision("since");
      sync.lineage = in.number("lineage");
      return sync;
    }
    case Kind::credit: {
      message.wants("credit", 2);
      Credit credit;
      credit.request = in.number("request");
      credit.chunks = in.small_number("chunks");
      return credit;
    }
    default: fail_kind();
  }
}

FromShard read_from_shard(Reader& in) {
  const Opening message = open(in);
  switch (message.kind) {
    case Kind::chunk: {
      message.wants("chunk", 9);
      Chunk chunk;
      chunk.request = in.number("request");
      chunk.number = in.small_number("number");
      chunk.partition = in.subtree("partition");
      chunk.lineage = in.number("lineage");
      chunk.kind = static_cast<Chunk::Kind>(in.number("kind", 0, 1));
      chunk.revision = in.revision("revision");
      chunk.floor = in.revision("floor");
      chunk.last = in.boolean("last");
      chunk.updates = read_updates(in);
      return chunk;
    }
    case Kind::refused: {
      message.wants("refused", 3);
      Refused refused;
      refused.request = in.number("request");
      refused.partition = in.subtree("partition");
      refused.why = in.text("why");
      return refused;
    }
    case Kind::answers: {
      message.wants("answers", 1);
      return Answers{.answers = read_all(in, "answers", read_answer)};
    }
    default: fail_kind();
  }
}

Batch read_batch(Reader& in) {
  const Opening message = open(in);
  if (message.kind != Kind::batch) fail_kind();
  message.wants("batch", 4);
  Batch batch;
  batch.lineage = in.number("lineage");
  batch.after = in.revision("after");
  batch.committed = base::TimePoint(base::Duration(in.signed_number("committed_us")));
  batch.updates = read_updates(in);
  if (batch.updates.size() > Revision::max_counter - batch.after.counter()) {
    Reader::fail(Fault::bad_field, "after", "overflows");
  }
  Revision expected = batch.after;
  for (const UpdatePtr& update : batch.updates) {
    expected = expected.next();
    if (update->revision != expected) {
      Reader::fail(Fault::bad_field, "entries", "are not contiguous");
    }
  }
  return batch;
}

// What fills the bytes, as `read` reads it.
template <typename Read>
auto decode(std::string_view bytes, Read&& read) {
  return attempt([&] {
    Reader in(bytes);
    auto result = read(in);
    in.end("message");
    return result;
  });
}

}  // namespace

base::Result<ToShard> decode_to_shard(std::string_view frame) {
  return decode(frame, read_to_shard);
}

base::Result<FromShard> decode_from_shard(std::string_view frame) {
  return decode(frame, read_from_shard);
}

base::Result<Batch> decode_batch(std::string_view frame) {
  const std::size_t end = frame.find('\0');
  if (end == std::string_view::npos) return base::Error{"batch: no topic"};
  const std::string_view partition = frame.substr(0, end);
  if (!keyspace::is_subtree(partition)) return base::Error{"batch: its topic is not a subtree"};
  auto batch = decode(frame.substr(end + 1), read_batch);
  if (batch) batch->partition = partition;
  return batch;
}

}  // namespace canopy::wire
