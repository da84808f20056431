// What a client asks to be changed, on every hop of its way to the shard that decides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/keyspace/revision.h"

namespace canopy::wire {

struct Write {
  std::string key{};
  std::string value{};
  bool deletes = false;
  std::int64_t ttl_ms = 0;  // 0: no expiry
  std::string properties{};
  std::string uuid{};
  // The client sends it through several proxies: applied the first time its uuid is seen.
  bool once = false;
  // Applied only if this is the revision of the key's entry; 0: only if there is none.
  std::optional<keyspace::Revision> if_revision{};

  std::size_t bytes() const { return key.size() + value.size() + properties.size() + uuid.size(); }
};

// Writes that one partition applies together or not at all.
//
// (client, number) names a request for good: repeated, it is applied once and answered alike.
// Requests below `settled` the client has seen answered and will not repeat. Writes of Clone
// clients have neither: each is a request of its own without a client.
struct WriteRequest {
  std::string client{};       // 16 bytes, or empty
  std::uint64_t number = 0;   // from 1
  std::uint64_t settled = 0;  // at most `number`
  std::vector<Write> writes{};

  std::size_t bytes() const {
    std::size_t total = client.size();
    for (const Write& write : writes) total += write.bytes();
    return total;
  }
};

}  // namespace canopy::wire
