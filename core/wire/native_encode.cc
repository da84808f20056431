#include <lz4.h>

#include <cassert>

#include "core/wire/native.h"
#include "core/wire/pack.h"

namespace canopy::wire::native {
namespace {

// A message of this kind whose fields `fill` packs, after what `out` holds already.
template <typename Fill>
std::string message(std::string out, Kind kind, std::size_t fields, std::size_t size_hint,
                    Fill&& fill) {
  out.reserve(out.size() + size_hint);
  Packer packer(out);
  packer.array(fields + 1);
  packer.number(static_cast<std::uint64_t>(kind));
  fill(packer);
  return out;
}

// One that is a frame of its own.
template <typename Fill>
std::string framed(Kind kind, std::size_t fields, std::size_t size_hint, Fill&& fill) {
  return message(std::string(1, static_cast<char>(version)), kind, fields, size_hint, fill);
}

void pack_revisions(Packer& packer, const Revisions& revisions) {
  packer.map(revisions.size());
  for (const auto& [partition, revision] : revisions) {
    packer.text(partition);
    packer.revision(revision);
  }
}

std::size_t size_hint(const Revisions& revisions) {
  std::size_t total = 48;
  for (const auto& each : revisions) total += each.partition.size() + 12;
  return total;
}

}  // namespace

void append_entry(std::string& out, const keyspace::Update& update) {
  Packer packer(out);
  const bool long_form = update.expires_at_ms != 0 || !update.properties.empty();
  packer.array(long_form ? 5 : 3);
  packer.text(update.key);
  packer.revision(update.revision);
  packer.value(update.deleted, update.value);
  if (!long_form) return;
  packer.signed_number(update.expires_at_ms);
  packer.bytes(update.properties);
}

std::string encode_batch(std::string_view topic, const BatchHeader& header, std::string_view body,
                         std::size_t raw_bytes) {
  const std::size_t hint = size_hint(header.revisions) + body.size();
  std::string frame = message(std::string(topic), Kind::batch, 5, hint, [&](Packer& packer) {
    packer.number(header.incarnation);
    packer.number(header.after);
    packer.number(header.count);
    pack_revisions(packer, header.revisions);
    packer.number(raw_bytes);
  });
  frame += body;
  return frame;
}

std::string encode_move(std::string_view topic, std::uint32_t within_ms) {
  return message(std::string(topic), Kind::move, 1, 16,
                 [&](Packer& packer) { packer.number(within_ms); });
}

std::string compress(std::string_view entries) {
  const auto size = static_cast<int>(entries.size());
  std::string block(static_cast<std::size_t>(LZ4_compressBound(size)), '\0');
  const int length =
      LZ4_compress_default(entries.data(), block.data(), size, static_cast<int>(block.size()));
  assert(length > 0);
  block.resize(static_cast<std::size_t>(length));
  return block;
}

std::string encode(const WriteRequest& request) {
  const std::size_t hint = 48 + request.bytes() + 32 * request.writes.size();
  return framed(Kind::write, 4, hint, [&](Packer& packer) {
    packer.bytes(request.client);
    packer.number(request.number);
    packer.number(request.settled);
    packer.array(request.writes.size());
    for (const Write& write : request.writes) {
      packer.array(5);
      packer.text(write.key);
      packer.value(write.deletes, write.value);
      packer.signed_number(write.ttl_ms);
      packer.revision_or_nil(write.if_revision);
      packer.bytes(write.properties);
    }
  });
}

std::string encode(const Fetch& fetch) {
  const std::size_t hint = size_hint(fetch.known) + fetch.topic.size() + fetch.subtree.size() + 48;
  return framed(Kind::fetch, 6, hint, [&](Packer& packer) {
    packer.number(fetch.request);
    packer.bytes(fetch.topic);
    packer.text(fetch.subtree);
    pack_revisions(packer, fetch.known);
    if (fetch.gap) {
      packer.array(3);
      packer.number(fetch.gap->incarnation);
      packer.number(fetch.gap->had);
      packer.number(fetch.gap->saw);
    } else {
      packer.nil();
    }
    packer.number(fetch.credit);
  });
}

std::string encode(const Credit& credit) {
  return framed(Kind::credit, 2, 16, [&](Packer& packer) {
    packer.number(credit.request);
    packer.number(credit.chunks);
  });
}

std::string encode(const Written& written) {
  return framed(Kind::written, 2, 24, [&](Packer& packer) {
    packer.number(written.request);
    packer.revision(written.revision);
  });
}

std::string encode_chunk(const ChunkHeader& header, std::string_view entries) {
  const std::size_t hint = 80 + header.partition.size() + entries.size();
  std::string frame = framed(Kind::chunk, 9, hint, [&](Packer& packer) {
    packer.number(header.request);
    packer.number(header.number);
    packer.text(header.partition);
    packer.number(static_cast<std::uint64_t>(header.mode));
    packer.revision(header.revision);
    packer.number(static_cast<std::uint64_t>(header.more));
    packer.number(header.incarnation);
    packer.number(header.position);
    packer.number(header.count);
  });
  frame += entries;
  return frame;
}

std::string encode(const Refusal& refusal) {
  return framed(Kind::refusal, 4, 32 + refusal.text.size(), [&](Packer& packer) {
    packer.number(refusal.request);
    packer.number(static_cast<std::uint64_t>(refusal.fault));
    packer.text(refusal.text);
    packer.revision(refusal.revision);
  });
}

std::string encode(const Directory& directory) {
  return framed(Kind::directory, 2, 24 + directory.prefix.size(), [&](Packer& packer) {
    packer.number(directory.request);
    packer.text(directory.prefix);
  });
}

std::string encode(const Drain& drain) {
  return framed(Kind::drain, 2, 24 + drain.name.size(), [&](Packer& packer) {
    packer.number(drain.request);
    packer.text(drain.name);
  });
}

std::string encode(const Reload& reload) {
  return framed(Kind::reload, 1, 16, [&](Packer& packer) { packer.number(reload.request); });
}

std::string encode(const Members& members) {
  std::size_t hint = 24;
  for (const auto& [key, value] : members.members) hint += key.size() + value.size() + 12;
  return framed(Kind::members, 2, hint, [&](Packer& packer) {
    packer.number(members.request);
    packer.array(members.members.size());
    for (const auto& [key, value] : members.members) {
      packer.array(2);
      packer.text(key);
      packer.text(value);
    }
  });
}

std::string encode(const Drained& drained) {
  return framed(Kind::drained, 1, 16, [&](Packer& packer) { packer.number(drained.request); });
}

std::string encode(const Reloaded& reloaded) {
  std::size_t hint = 24;
  for (const std::string& setting : reloaded.settings) hint += setting.size() + 4;
  return framed(Kind::reloaded, 2, hint, [&](Packer& packer) {
    packer.number(reloaded.request);
    packer.array(reloaded.settings.size());
    for (const std::string& setting : reloaded.settings) packer.text(setting);
  });
}

}  // namespace canopy::wire::native
