#include <lz4.h>

#include <cassert>

#include "core/wire/native_broker.h"
#include "core/wire/pack.h"

namespace canopy::wire::native {
namespace {

// A message of this kind whose fields `fill` packs.
template <typename Fill>
std::string message(Kind kind, std::size_t fields, std::size_t size_hint, Fill&& fill) {
  std::string out;
  out.reserve(size_hint + 8);
  out += static_cast<char>(version);
  Packer packer(out);
  packer.array(fields + 1);
  packer.number(static_cast<std::uint64_t>(kind));
  fill(packer);
  return out;
}

// One that has a number alone.
std::string numbered(Kind kind, std::uint64_t request) {
  return message(kind, 1, 16, [&](Packer& packer) { packer.number(request); });
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

std::string encode_batch(const BatchHeader& header, std::string_view body, std::size_t raw_bytes) {
  const std::size_t hint = size_hint(header.revisions) + body.size();
  std::string frame = message(Kind::batch, 5, hint, [&](Packer& packer) {
    packer.number(header.stream);
    packer.number(header.after);
    packer.number(header.count);
    pack_revisions(packer, header.revisions);
    packer.number(raw_bytes);
  });
  frame += body;
  return frame;
}

std::string encode(const Move& move) {
  return message(Kind::move, 1, 16, [&](Packer& packer) { packer.number(move.within_ms); });
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

std::string encode(const Announce& announce) {
  const std::size_t hint =
      48 + announce.client.size() + announce.name.size() + announce.software.size();
  return message(Kind::announce, 4, hint, [&](Packer& packer) {
    packer.number(announce.request);
    packer.bytes(announce.client);
    packer.text(announce.name);
    packer.text(announce.software);
  });
}

std::string encode(const WriteRequest& request) {
  const std::size_t hint = 48 + request.bytes() + 32 * request.writes.size();
  return message(Kind::write, 3, hint, [&](Packer& packer) {
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

std::string encode(const Watch& watch) {
  const Subscription& subscription = watch.subscription;
  const std::size_t hint = size_hint(watch.known) + subscription.subtree.size() + 32;
  return message(Kind::watch, 5, hint, [&](Packer& packer) {
    packer.number(watch.request);
    packer.text(subscription.subtree);
    packer.number(subscription.latest_ms);
    packer.number(subscription.lz4 ? 1 : 0);
    pack_revisions(packer, watch.known);
  });
}

std::string encode(const Unwatch& unwatch) { return numbered(Kind::unwatch, unwatch.request); }

std::string encode(const Get& get) {
  return message(Kind::get, 2, 24 + get.key.size(), [&](Packer& packer) {
    packer.number(get.request);
    packer.text(get.key);
  });
}

std::string encode(const List& list) {
  return message(Kind::list, 3, 32 + list.subtree.size(), [&](Packer& packer) {
    packer.number(list.request);
    packer.text(list.subtree);
    packer.number(list.limit);
  });
}

std::string encode(const Ping& ping) { return numbered(Kind::ping, ping.request); }

std::string encode(const Clients& clients) { return numbered(Kind::clients, clients.request); }

std::string encode(const Kick& kick) {
  return message(Kind::kick, 2, 24, [&](Packer& packer) {
    packer.number(kick.request);
    packer.number(kick.connection);
  });
}

std::string encode(const Kicked& kicked) { return numbered(Kind::kicked, kicked.request); }

std::string encode(const Welcome& welcome) {
  return message(Kind::welcome, 2, 24 + welcome.proxy.size(), [&](Packer& packer) {
    packer.number(welcome.request);
    packer.text(welcome.proxy);
  });
}

std::string encode(const Written& written) {
  return message(Kind::written, 2, 24, [&](Packer& packer) {
    packer.number(written.number);
    packer.revision(written.revision);
  });
}

std::string encode(const ChunkHeader& header) {
  const std::size_t hint = 64 + header.partition.size();
  return message(Kind::chunk, 6, hint, [&](Packer& packer) {
    packer.number(header.request);
    packer.text(header.partition);
    packer.number(static_cast<std::uint64_t>(header.mode));
    packer.revision(header.revision);
    packer.number(static_cast<std::uint64_t>(header.more));
    packer.number(header.count);
  });
}

std::string encode_chunk(const ChunkHeader& header, std::string_view entries) {
  return encode(header) += entries;
}

std::string encode(const CaughtUp& caught_up) {
  return message(Kind::caught_up, 3, 32, [&](Packer& packer) {
    packer.number(caught_up.request);
    packer.number(caught_up.stream);
    packer.number(caught_up.position);
  });
}

std::string encode_got(std::uint64_t request, const keyspace::Update* entry) {
  const std::size_t hint = 64 + (entry == nullptr ? 0 : entry->encoded().size());
  std::string frame = message(Kind::entry, 2, hint, [&](Packer& packer) {
    packer.number(request);
    packer.number(entry == nullptr ? 0 : 1);
  });
  if (entry != nullptr) append_entry(frame, *entry);
  return frame;
}

std::string encode(const Pong& pong) { return numbered(Kind::pong, pong.request); }

std::string encode(const Gap& gap) {
  return message(Kind::gap, 2, 24, [&](Packer& packer) {
    packer.number(gap.request);
    if (gap.missed) {
      packer.number(*gap.missed);
    } else {
      packer.nil();
    }
  });
}

std::string encode(const Refusal& refusal) {
  return message(Kind::refusal, 5, 32 + refusal.text.size(), [&](Packer& packer) {
    packer.number(refusal.request);
    packer.number(static_cast<std::uint64_t>(refusal.fault));
    packer.text(refusal.text);
    packer.revision(refusal.revision);
    packer.number(refusal.of);
  });
}

std::string encode(const Directory& directory) {
  return message(Kind::directory, 2, 24 + directory.prefix.size(), [&](Packer& packer) {
    packer.number(directory.request);
    packer.text(directory.prefix);
  });
}

std::string encode(const Drain& drain) {
  return message(Kind::drain, 2, 24 + drain.name.size(), [&](Packer& packer) {
    packer.number(drain.request);
    packer.text(drain.name);
  });
}

std::string encode(const Reload& reload) { return numbered(Kind::reload, reload.request); }

std::string encode(const Elect& elect) {
  const std::size_t hint = 24 + elect.partition.size() + elect.shard.size();
  return message(Kind::elect, 3, hint, [&](Packer& packer) {
    packer.number(elect.request);
    packer.text(elect.partition);
    packer.text(elect.shard);
  });
}

std::string encode(const Backup& backup) {
  const std::size_t hint = 32 + backup.shard.size() + backup.name.size() + backup.order.size();
  return message(Kind::backup, 4, hint, [&](Packer& packer) {
    packer.number(backup.request);
    packer.text(backup.shard);
    packer.text(backup.name);
    packer.text(backup.order);
  });
}

std::string encode(const Place& place) {
  std::size_t hint = 24 + place.partition.size();
  for (const std::string& shard : place.shards) hint += shard.size() + 4;
  return message(Kind::place, 3, hint, [&](Packer& packer) {
    packer.number(place.request);
    packer.text(place.partition);
    packer.array(place.shards.size());
    for (const std::string& shard : place.shards) packer.text(shard);
  });
}

std::string encode(const Split& split) {
  return message(Kind::split, 2, 24 + split.subtree.size(), [&](Packer& packer) {
    packer.number(split.request);
    packer.text(split.subtree);
  });
}

std::string encode(const Members& members) {
  std::size_t hint = 24;
  for (const auto& [key, value] : members.members) hint += key.size() + value.size() + 12;
  return message(Kind::members, 2, hint, [&](Packer& packer) {
    packer.number(members.request);
    packer.array(members.members.size());
    for (const auto& [key, value] : members.members) {
      packer.array(2);
      packer.text(key);
      packer.text(value);
    }
  });
}

std::string encode(const Drained& drained) { return numbered(Kind::drained, drained.request); }

std::string encode(const Elected& elected) { return numbered(Kind::elected, elected.request); }

std::string encode(const BackupOrdered& ordered) {
  return numbered(Kind::backup_ordered, ordered.request);
}
std::string encode(const Placed& placed) { return numbered(Kind::placed, placed.request); }

std::string encode(const SplitOrdered& ordered) {
  return numbered(Kind::split_ordered, ordered.request);
}

std::string encode(const Reloaded& reloaded) {
  std::size_t hint = 24;
  for (const std::string& setting : reloaded.settings) hint += setting.size() + 4;
  return message(Kind::reloaded, 2, hint, [&](Packer& packer) {
    packer.number(reloaded.request);
    packer.array(reloaded.settings.size());
    for (const std::string& setting : reloaded.settings) packer.text(setting);
  });
}

}  // namespace canopy::wire::native
