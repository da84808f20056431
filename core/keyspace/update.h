// One committed change of one key, encoded once: tree, log, store, batches and fan-out all hold the
// same object, and append its bytes. core/wire/entry.h knows what the bytes say; here are only
// views into them. Immutable, so any thread may read an update that it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/keyspace/revision.h"

namespace canopy::keyspace {

// The fields of an update, as views of bytes that somebody else owns.
struct Entry {
  std::string_view key{};
  std::string_view value{};       // opaque; empty when deleted
  std::string_view properties{};  // `name=value\n`…, as the client gave them
  std::string_view uuid{};        // opaque, of a Clone client; or empty
  Revision revision{};
  std::int64_t expires_at_ms = 0;  // since the Unix epoch; 0: never
  bool deleted = false;

  std::size_t bytes() const { return key.size() + value.size() + properties.size() + uuid.size(); }
};

struct Update;
using UpdatePtr = std::shared_ptr<const Update>;

// Its views point into its own bytes, which lie behind it in one allocation.
struct Update : Entry {
  std::string_view encoded{};

  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;

  // `write(char* to)` writes exactly `size` encoded bytes and returns the fields, as views of them.
  template <typename Write>
  static UpdatePtr make(std::size_t size, Write&& write) {
    std::shared_ptr<Unit[]> memory = allocate(size);
    char* bytes = reinterpret_cast<char*>(memory.get()) + sizeof(Update);
    const Update* update = new (memory.get()) Update(write(bytes), {bytes, size});
    return UpdatePtr(std::move(memory), update);
  }
  // Copies the encoded bytes, of which the fields are views.
  static UpdatePtr copy(std::string_view encoded, const Entry& fields);

 private:
  struct alignas(Entry) Unit {
    std::byte bytes[alignof(Entry)];
  };

  Update(const Entry& fields, std::string_view bytes) : Entry(fields), encoded(bytes) {}
  static std::shared_ptr<Unit[]> allocate(std::size_t encoded_bytes);
};

}  // namespace canopy::keyspace
