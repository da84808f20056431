#include "core/keyspace/update.h"

#include <cstring>

namespace canopy::keyspace {

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
