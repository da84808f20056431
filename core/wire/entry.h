// The one encoding of an update, in MessagePack. A shard makes it where it commits the update; its
// store, links and streams append the same bytes, and clients read them.
//
//   entry = [key, revision, value | nil]                                   nil: deleted
//         | [key, revision, value | nil, expires_at_ms, properties]
//         | [key, revision, value | nil, expires_at_ms, properties, uuid]  of a Clone client
//         | [subtree, revision]                                            a split entry, between
//                                                                          shards and proxies alone
//
// Pure code over bytes; never throws on hostile input, except where it says so.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/keyspace/update.h"

namespace canopy::wire {

// No entry takes fewer bytes.
inline constexpr std::size_t smallest_entry = 4;

keyspace::UpdatePtr make_update(const keyspace::Entry& fields);
// Of bytes that hold one entry alone.
base::Result<keyspace::UpdatePtr> decode_update(std::string_view bytes);

void append_entry(std::string& out, const keyspace::Entry& fields);
inline void append_entry(std::string& out, const keyspace::Update& update) {
  out += update.encoded();
}

// For the decoders of this folder; like Reader, these throw Unreadable. read_entry() is for what
// clients read, and takes no split entry.
class Reader;
void read_entry(Reader& in, keyspace::Entry& out);
keyspace::UpdatePtr read_update(Reader& in);

}  // namespace canopy::wire
