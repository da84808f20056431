#include "core/keyspace/update.h"

#include <cstring>
#include <type_traits>

namespace canopy::keyspace {

// Nobody calls the destructor: the memory goes with the last pointer.
static_assert(std::is_trivially_destructible_v<Update>);

std::shared_ptr<Update::Unit[]> Update::allocate(std::size_t encoded_bytes) {
  const std::size_t bytes = sizeof(Update) + encoded_bytes;
  return std::make_shared_for_overwrite<Unit[]>((bytes + sizeof(Unit) - 1) / sizeof(Unit));
}

UpdatePtr Update::copy(std::string_view encoded, const Entry& fields) {
  return make(encoded.size(), [&](char* to) {
    std::memcpy(to, encoded.data(), encoded.size());
    Entry copied = fields;
    for (std::string_view* field : {&copied.key, &copied.value, &copied.properties, &copied.uuid}) {
      if (!field->empty()) *field = {to + (field->data() - encoded.data()), field->size()};
    }
    return copied;
  });
}

}  // namespace canopy::keyspace
