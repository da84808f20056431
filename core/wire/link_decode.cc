#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/link.h"
#include "core/wire/link_read.h"

namespace canopy::wire {
namespace {

using keyspace::Revision;
using keyspace::UpdatePtr;

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
  routed.request.client = in.bytes("client", link_client_bytes);
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
      chunk.updates = read_updates(in, read_count(in, "entries", smallest_entry));
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
  batch.updates = read_updates(in, read_count(in, "entries", smallest_entry));
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

}  // namespace

base::Result<ToShard> decode_to_shard(std::string_view frame) {
  return decode_whole(frame, read_to_shard);
}

base::Result<FromShard> decode_from_shard(std::string_view frame) {
  return decode_whole(frame, read_from_shard);
}

base::Result<Batch> decode_batch(std::string_view frame) {
  const std::size_t end = frame.find('\0');
  if (end == std::string_view::npos) return base::Error{"batch: no topic"};
  const std::string_view partition = frame.substr(0, end);
  if (!keyspace::is_subtree(partition)) return base::Error{"batch: its topic is not a subtree"};
  auto batch = decode_whole(frame.substr(end + 1), read_batch);
  if (batch) batch->partition = partition;
  return batch;
}

}  // namespace canopy::wire
