#include <msgpack.hpp>

#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/link.h"
#include "core/wire/link_kind.h"

namespace canopy::wire {
namespace {

using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;

// Thrown by the readers below, caught by decode(): never leaves this file.
struct Malformed {
  std::string what;
};

// Reads the fields of one array in order.
class Reader {
 public:
  Reader(const msgpack::object& object, const char* what, std::uint32_t fields) : what_(what) {
    if (object.type != msgpack::type::ARRAY || object.via.array.size != fields) {
      throw Malformed{std::string(what) + ": wants an array of " + std::to_string(fields)};
    }
    next_ = object.via.array.ptr;
  }

  const msgpack::object& any() { return *next_++; }

  std::uint64_t number() {
    const auto& object = any();
    if (object.type != msgpack::type::POSITIVE_INTEGER) fail("wants a number");
    return object.via.u64;
  }
  std::uint32_t small_number() {
    const std::uint64_t value = number();
    if (value > UINT32_MAX) fail("number too large");
    return static_cast<std::uint32_t>(value);
  }
  std::int64_t signed_number() {
    const std::uint64_t value = number();
    if (value > INT64_MAX) fail("number too large");
    return static_cast<std::int64_t>(value);
  }
  bool boolean() {
    const auto& object = any();
    if (object.type != msgpack::type::BOOLEAN) fail("wants a boolean");
    return object.via.boolean;
  }
  std::string_view text() {
    const auto& object = any();
    if (object.type != msgpack::type::STR) fail("wants text");
    return {object.via.str.ptr, object.via.str.size};
  }
  std::string_view bytes(std::size_t limit) { return bytes_of(any(), limit); }
  // Nothing for nil.
  bool value(std::string& out) {
    const auto& object = any();
    if (object.is_nil()) return false;
    out = bytes_of(object, base::max_value_bytes);
    return true;
  }
  std::string key() {
    const std::string_view key = text();
    if (const auto fault = keyspace::check_key(key); fault != keyspace::KeyFault::none) {
      fail(keyspace::to_reason(fault));
    }
    return std::string(key);
  }
  std::string subtree() {
    const std::string_view subtree = text();
    if (!keyspace::is_subtree(subtree)) fail("is not a subtree");
    return std::string(subtree);
  }
  std::span<const msgpack::object> array() {
    const auto& object = any();
    if (object.type != msgpack::type::ARRAY) fail("wants an array");
    return {object.via.array.ptr, object.via.array.size};
  }

  [[noreturn]] void fail(std::string_view why) const {
    throw Malformed{std::string(what_) + ": " + std::string(why)};
  }

 private:
  std::string_view bytes_of(const msgpack::object& object, std::size_t limit) const {
    if (object.type != msgpack::type::BIN) fail("wants bytes");
    if (object.via.bin.size > limit) fail("bytes beyond the limit");
    return {object.via.bin.ptr, object.via.bin.size};
  }

  const char* what_;
  const msgpack::object* next_ = nullptr;
};

UpdatePtr read_update(const msgpack::object& object) {
  Reader fields(object, "update", 6);
  auto update = std::make_shared<Update>();
  update->key = fields.key();
  update->deleted = !fields.value(update->value);
  update->revision = Revision(fields.number());
  update->expires_at_ms = fields.signed_number();
  update->properties = fields.bytes(base::max_properties_bytes);
  update->uuid = fields.bytes(16);
  return update;
}

std::vector<UpdatePtr> read_updates(std::span<const msgpack::object> objects) {
  std::vector<UpdatePtr> updates;
  updates.reserve(objects.size());
  for (const auto& object : objects) updates.push_back(read_update(object));
  return updates;
}

Write read_write(const msgpack::object& object) {
  Reader fields(object, "write", 6);
  Write write;
  write.key = fields.key();
  write.deletes = !fields.value(write.value);
  write.ttl_ms = fields.signed_number();
  write.properties = fields.bytes(base::max_properties_bytes);
  write.uuid = fields.bytes(16);
  write.once = fields.boolean();
  return write;
}

// The kind of a message, its version checked.
Kind read_kind(const msgpack::object& message) {
  if (message.type != msgpack::type::ARRAY || message.via.array.size < 2) {
    throw Malformed{"message: wants [version, kind, …]"};
  }
  const auto& version = message.via.array.ptr[0];
  const auto& kind = message.via.array.ptr[1];
  if (version.type != msgpack::type::POSITIVE_INTEGER || version.via.u64 != link_version) {
    throw Malformed{"message: unknown version"};
  }
  if (kind.type != msgpack::type::POSITIVE_INTEGER) throw Malformed{"message: unknown kind"};
  return static_cast<Kind>(kind.via.u64);
}

Reader open(const msgpack::object& message, const char* what, std::uint32_t fields) {
  Reader reader(message, what, fields + 2);
  reader.any();
  reader.any();
  return reader;
}

ToShard read_to_shard(const msgpack::object& message) {
  switch (read_kind(message)) {
    case Kind::writes: {
      Reader fields = open(message, "writes", 1);
      Writes result;
      for (const auto& object : fields.array()) result.writes.push_back(read_write(object));
      return result;
    }
    case Kind::sync: {
      Reader fields = open(message, "sync", 3);
      Sync result;
      result.request = fields.number();
      result.partition = fields.subtree();
      result.since = Revision(fields.number());
      return result;
    }
    case Kind::credit: {
      Reader fields = open(message, "credit", 2);
      Credit result;
      result.request = fields.number();
      result.chunks = fields.small_number();
      return result;
    }
    default: throw Malformed{"message: unknown kind"};
  }
}

FromShard read_from_shard(const msgpack::object& message) {
  switch (read_kind(message)) {
    case Kind::chunk: {
      Reader fields = open(message, "chunk", 6);
      Chunk result;
      result.request = fields.number();
      result.partition = fields.subtree();
      const std::uint64_t kind = fields.number();
      if (kind > 1) fields.fail("unknown kind");
      result.kind = static_cast<Chunk::Kind>(kind);
      result.revision = Revision(fields.number());
      result.last = fields.boolean();
      result.updates = read_updates(fields.array());
      return result;
    }
    case Kind::refused: {
      Reader fields = open(message, "refused", 3);
      Refused result;
      result.request = fields.number();
      result.partition = fields.subtree();
      result.why = fields.text();
      return result;
    }
    default: throw Malformed{"message: unknown kind"};
  }
}

Batch read_batch(const msgpack::object& message) {
  if (read_kind(message) != Kind::batch) throw Malformed{"message: unknown kind"};
  Reader fields = open(message, "batch", 3);
  Batch result;
  result.after = Revision(fields.number());
  result.committed = base::TimePoint(base::Duration(fields.signed_number()));
  result.updates = read_updates(fields.array());
  if (result.updates.size() > Revision::max_counter - result.after.counter()) {
    fields.fail("counter overflow");
  }
  Revision expected = result.after;
  for (const UpdatePtr& update : result.updates) {
    expected = expected.next();
    if (update->revision != expected) fields.fail("revisions are not contiguous");
  }
  return result;
}

// Parses one MessagePack object that fills `frame`, and reads it. References in the object point
// into the frame, so nothing is copied before it is known to be good.
template <typename Read>
auto decode(std::string_view frame, Read&& read)
    -> base::Result<std::invoke_result_t<Read, const msgpack::object&>> {
  try {
    // Arrays are allocated by the length they claim: bound it, and how deep they nest.
    const msgpack::unpack_limit limit(max_message_updates, 0, frame.size(), frame.size(), 0, 4);
    const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
    std::size_t offset = 0;
    const msgpack::object_handle handle =
        msgpack::unpack(frame.data(), frame.size(), offset, by_reference, nullptr, limit);
    if (offset != frame.size()) return base::Error{"message: bytes after its end"};
    return read(handle.get());
  } catch (const Malformed& malformed) {
    return base::Error{malformed.what};
  } catch (const std::exception&) {
    return base::Error{"message: not MessagePack"};
  }
}

}  // namespace

base::Result<UpdatePtr> decode_update(std::string_view bytes) { return decode(bytes, read_update); }

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
