#include "core/wire/entry.h"

#include <algorithm>
#include <cassert>

#include "core/base/limits.h"
#include "core/wire/pack.h"
#include "core/wire/unpack.h"

namespace canopy::wire {
namespace {

using keyspace::Entry;
using keyspace::Update;
using keyspace::UpdatePtr;

// What the Packer writes to; the caller has made sure that there is room.
struct Cursor {
  char* at;

  void append(const char* data, std::size_t size) { at = std::copy_n(data, size, at); }
  std::string_view last(std::size_t size) const { return {at - size, size}; }
};

std::uint32_t fields_of(const Entry& entry) {
  if (entry.splits) return 2;
  if (!entry.uuid.empty()) return 6;
  return entry.expires_at_ms != 0 || !entry.properties.empty() ? 5 : 3;
}

std::size_t number_size(std::uint64_t value) {
  if (value < 0x80) return 1;
  if (value <= UINT8_MAX) return 2;
  if (value <= UINT16_MAX) return 3;
  return value <= UINT32_MAX ? 5 : 9;
}

std::size_t bytes_size(std::size_t size) {
  return size + (size <= UINT8_MAX ? 2 : size <= UINT16_MAX ? 3 : 5);
}

std::size_t text_size(std::size_t size) { return size < 32 ? 1 + size : bytes_size(size); }

std::size_t encoded_size(const Entry& entry) {
  const std::uint32_t fields = fields_of(entry);
  std::size_t size = 1 + text_size(entry.key.size()) + number_size(entry.revision.value());
  if (fields == 2) return size;
  size += entry.deleted ? 1 : bytes_size(entry.value.size());
  if (fields == 3) return size;
  size += number_size(static_cast<std::uint64_t>(entry.expires_at_ms)) +
          bytes_size(entry.properties.size());
  return fields == 5 ? size : size + bytes_size(entry.uuid.size());
}

// The fields, as views of what it writes: encoded_size(entry) bytes.
Entry write_entry(char* to, const Entry& entry) {
  Cursor cursor{to};
  BasicPacker<Cursor> packer(cursor);
  Entry written{.revision = entry.revision,
                .expires_at_ms = entry.expires_at_ms,
                .deleted = entry.deleted,
                .splits = entry.splits};
  const std::uint32_t fields = fields_of(entry);
  packer.array(fields);
  packer.text(entry.key);
  written.key = cursor.last(entry.key.size());
  packer.revision(entry.revision);
  if (fields > 2) packer.value(entry.deleted, entry.value);
  if (fields > 2 && !entry.deleted) written.value = cursor.last(entry.value.size());
  if (fields > 3) {
    packer.signed_number(entry.expires_at_ms);
    packer.bytes(entry.properties);
    written.properties = cursor.last(entry.properties.size());
  }
  if (fields > 5) {
    packer.bytes(entry.uuid);
    written.uuid = cursor.last(entry.uuid.size());
  }
  assert(cursor.at == to + encoded_size(entry));
  return written;
}

void read_fields(Reader& in, std::uint32_t fields, Entry& out) {
  if (fields != 3 && fields != 5) Reader::require("entry", fields, 6);
  out.key = in.key("key");
  out.revision = in.revision("revision");
  out.deleted = in.nil();
  out.value = out.deleted ? std::string_view() : in.value("value");
  out.expires_at_ms = fields > 3 ? in.signed_number("expires_at_ms") : 0;
  out.properties = fields > 3 ? in.properties("properties") : std::string_view();
  out.uuid = fields > 5 ? in.bytes("uuid", base::max_uuid_bytes) : std::string_view();
}

// Of what is never the root.
void read_split(Reader& in, Entry& out) {
  out.key = in.key("subtree");
  if (!out.key.ends_with('/')) Reader::fail(Fault::bad_subtree, "subtree", "is none");
  out.revision = in.revision("revision");
  out.splits = true;
}

}  // namespace

UpdatePtr make_update(const Entry& fields) {
  return Update::make(encoded_size(fields), [&](char* to) { return write_entry(to, fields); });
}

void append_entry(std::string& out, const Entry& fields) {
  const std::size_t before = out.size();
  out.resize(before + encoded_size(fields));
  write_entry(out.data() + before, fields);
}

void read_entry(Reader& in, Entry& out) {
  out.splits = false;
  read_fields(in, in.array("entry", 6), out);
}

UpdatePtr read_update(Reader& in) {
  const std::string_view before = in.rest();
  Entry fields;
  const std::uint32_t count = in.array("entry", 6);
  if (count == 2) {
    read_split(in, fields);
  } else {
    read_fields(in, count, fields);
  }
  return Update::copy(before.substr(0, before.size() - in.left()), fields);
}

base::Result<UpdatePtr> decode_update(std::string_view bytes) {
  return attempt([&] {
    Reader in(bytes);
    UpdatePtr update = read_update(in);
    in.end("entry");
    return update;
  });
}

}  // namespace canopy::wire
