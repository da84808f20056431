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

// The fields of an update, as views of bytes that the caller owns.
struct Entry {
  std::string_view key{};
  std::string_view value{};       // opaque; empty when deleted
  std::string_view properties{};  // `name=value\n`…, as the client gave them
  std::string_view uuid{};        // opaque, of a Clone client; or empty
  Revision revision{};
  std::int64_t expires_at_ms = 0;  // since the Unix epoch; 0: never
  bool deleted = false;
  // A split entry: from this revision on the subtree `key` is a partition of its own. Not an update
  // of a key; no client sees it.
  bool splits = false;

  std::size_t bytes() const { return key.size() + value.size() + properties.size() + uuid.size(); }
};

class Update;
using UpdatePtr = std::shared_ptr<const Update>;

namespace detail {
// Allocates so many bytes behind each object.
template <typename Object>
struct Behind {
  using value_type = Object;
  std::size_t bytes;

  explicit Behind(std::size_t size) : bytes(size) {}
  template <typename Other>
  Behind(const Behind<Other>& other) : bytes(other.bytes) {}
  Object* allocate(std::size_t count) {
    return static_cast<Object*>(::operator new(count * sizeof(Object) + bytes));
  }
  void deallocate(Object* object, std::size_t) { ::operator delete(object); }
  template <typename Other>
  bool operator==(const Behind<Other>& other) const {
    return bytes == other.bytes;
  }
};
}  // namespace detail

// Its fields are views of its own bytes, which lie behind it in one allocation.
class Update : public Entry {
  struct Private {};

 public:
  // For make() alone.
  Update(Private, std::size_t size) : size_(static_cast<std::uint32_t>(size)) {}
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;

  // `write(char* to)` writes exactly `size` encoded bytes and returns the fields, as views of them.
  template <typename Write>
  static UpdatePtr make(std::size_t size, Write&& write) {
    const auto update = std::allocate_shared<Update>(detail::Behind<Update>(size), Private(), size);
    static_cast<Entry&>(*update) = write(reinterpret_cast<char*>(update.get() + 1));
    return update;
  }
  // Copies the encoded bytes, of which the fields are views.
  static UpdatePtr copy(std::string_view encoded, const Entry& fields);

  std::string_view encoded() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

 private:
  std::uint32_t size_;
};

}  // namespace canopy::keyspace
