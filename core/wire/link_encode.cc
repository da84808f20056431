#include <msgpack.hpp>

#include "core/wire/link.h"
#include "core/wire/link_kind.h"

namespace canopy::wire {
namespace {

using keyspace::Update;
using keyspace::UpdatePtr;

struct StringSink {
  std::string& out;
  void write(const char* data, std::size_t size) { out.append(data, size); }
};
using Packer = msgpack::packer<StringSink>;

void pack_text(Packer& packer, std::string_view text) {
  packer.pack_str(static_cast<std::uint32_t>(text.size()));
  packer.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

void pack_bytes(Packer& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

void pack_value(Packer& packer, bool deleted, std::string_view value) {
  if (deleted) {
    packer.pack_nil();
  } else {
    pack_bytes(packer, value);
  }
}

// A message of this kind whose fields `fill` packs, after what `out` holds already.
template <typename Fill>
std::string message(Kind kind, std::uint32_t fields, std::size_t size_hint, Fill&& fill,
                    std::string out = {}) {
  out.reserve(out.size() + size_hint);
  StringSink sink{out};
  Packer packer(sink);
  packer.pack_array(fields + 2);
  packer.pack(link_version);
  packer.pack(static_cast<unsigned>(kind));
  fill(packer);
  return out;
}

void pack_update(Packer& packer, const Update& update) {
  packer.pack_array(6);
  pack_text(packer, update.key);
  pack_value(packer, update.deleted, update.value);
  packer.pack(update.revision.value());
  packer.pack(update.expires_at_ms);
  pack_bytes(packer, update.properties);
  pack_bytes(packer, update.uuid);
}

void pack_updates(Packer& packer, const std::vector<UpdatePtr>& updates) {
  packer.pack_array(static_cast<std::uint32_t>(updates.size()));
  for (const UpdatePtr& update : updates) pack_update(packer, *update);
}

std::size_t size_hint(const std::vector<UpdatePtr>& updates) {
  std::size_t total = 64;
  for (const UpdatePtr& update : updates) total += update->bytes() + 48;
  return total;
}

}  // namespace

std::string encode(const Writes& writes) {
  std::size_t hint = 16;
  for (const Write& write : writes.writes) hint += write.bytes() + 32;
  return message(Kind::writes, 1, hint, [&](Packer& packer) {
    packer.pack_array(static_cast<std::uint32_t>(writes.writes.size()));
    for (const Write& write : writes.writes) {
      packer.pack_array(6);
      pack_text(packer, write.key);
      pack_value(packer, write.deletes, write.value);
      packer.pack(write.ttl_ms);
      pack_bytes(packer, write.properties);
      pack_bytes(packer, write.uuid);
      packer.pack(write.once);
    }
  });
}

std::string encode(const Sync& sync) {
  return message(Kind::sync, 3, 64, [&](Packer& packer) {
    packer.pack(sync.request);
    pack_text(packer, sync.partition);
    packer.pack(sync.since.value());
  });
}

std::string encode(const Credit& credit) {
  return message(Kind::credit, 2, 16, [&](Packer& packer) {
    packer.pack(credit.request);
    packer.pack(credit.chunks);
  });
}

std::string encode(const Chunk& chunk) {
  return message(Kind::chunk, 6, size_hint(chunk.updates), [&](Packer& packer) {
    packer.pack(chunk.request);
    pack_text(packer, chunk.partition);
    packer.pack(static_cast<unsigned>(chunk.kind));
    packer.pack(chunk.revision.value());
    packer.pack(chunk.last);
    pack_updates(packer, chunk.updates);
  });
}

std::string encode(const Refused& refused) {
  return message(Kind::refused, 3, 64, [&](Packer& packer) {
    packer.pack(refused.request);
    pack_text(packer, refused.partition);
    pack_text(packer, refused.why);
  });
}

std::string encode(const Batch& batch) {
  const auto fill = [&](Packer& packer) {
    packer.pack(batch.after.value());
    packer.pack(batch.committed.time_since_epoch().count());
    pack_updates(packer, batch.updates);
  };
  return message(Kind::batch, 3, size_hint(batch.updates), fill, batch_topic(batch.partition));
}

std::string encode(const Update& update) {
  std::string out;
  out.reserve(update.bytes() + 48);
  StringSink sink{out};
  Packer packer(sink);
  pack_update(packer, update);
  return out;
}

std::string batch_topic(std::string_view partition) {
  std::string topic(partition);
  topic += '\0';
  return topic;
}

}  // namespace canopy::wire
