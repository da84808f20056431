// The numbered errors of the native protocol; docs/reference/protocol.md says when each is given.
//
// Numbers 1-31 are final: the same request would fail again. Numbers 32-63 are retriable: later, or
// at another proxy.
#pragma once

#include <cstdint>
#include <string_view>

namespace canopy::wire {

enum class Fault : std::uint8_t {
  none = 0,
  malformed = 1,               // not a message of this protocol
  version_unknown = 2,         // the first byte is not a version spoken here
  kind_unknown = 3,            // no such message, or not in this direction
  too_large = 4,               // a value, the properties, or the request as a whole
  bad_key = 5,                 // not a key
  bad_subtree = 6,             // neither a subtree nor a key
  bad_field = 7,               // a number out of its bounds
  several_partitions = 8,      // the writes of one request belong to more than one partition
  no_partition = 9,            // nobody owns the key
  revision_mismatch = 10,      // if_revision is not the entry's revision; the answer carries it
  not_kept = 11,               // if_revision on a partition that keeps no state
  replayed = 12,               // a request number that its client has declared settled
  not_found = 13,              // no process of this name
  forbidden = 14,              // its sender is not granted that
  configuration = 15,          // the file that is to be reloaded: wrong, or it takes a restart
  full = 16,                   // the partition has no room for what would make it larger
  not_followed = 17,           // a reload that some process has not taken on; the text names it
  too_few_replicas = 18,       // fewer than `min_in_sync` would keep the write
  partition_unavailable = 32,  // its shard is away, or does not lead it now
  busy = 33,                   // a queue on the way is full
  draining = 34,               // this proxy is going away: use another
  too_many_requests = 35,      // more at once than a client may have
};

constexpr bool retriable(Fault fault) { return static_cast<unsigned>(fault) >= 32; }

// "revision_mismatch"; empty for a number that is none of these.
std::string_view name(Fault fault);
// Whether the number is one of the above, none included.
bool known(std::uint64_t number);

}  // namespace canopy::wire
