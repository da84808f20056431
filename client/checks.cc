#include "client/checks.h"

#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/native.h"

namespace canopy::client {
namespace {

namespace native = wire::native;

// Of a request, beside what its writes hold.
constexpr std::size_t overhead = 64;

}  // namespace

Answer refusal(wire::Fault fault, std::string text) {
  return {.number = static_cast<unsigned>(fault), .text = std::move(text)};
}

Answer expired(const std::string& why) {
  return {.number = timed_out,
          .text = why.empty() ? "no answer in time" : "no success in time: " + why};
}

Answer cancellation() { return {.number = cancelled, .text = "the caller gave it up"}; }

bool is_label(const std::string& name) {
  return keyspace::check_prefix(name) == keyspace::KeyFault::none;
}

Answer check(const std::vector<wire::Write>& writes) {
  if (writes.empty() || writes.size() > native::max_writes) {
    return refusal(wire::Fault::bad_field,
                   "one to " + std::to_string(native::max_writes) + " writes make a request");
  }
  std::size_t bytes = overhead;
  for (const wire::Write& write : writes) {
    bytes += write.bytes() + overhead;
    if (keyspace::check_key(write.key) != keyspace::KeyFault::none) {
      return refusal(wire::Fault::bad_key, "not a key");
    }
    if (write.value.size() > base::max_value_bytes) {
      return refusal(wire::Fault::too_large, "the value is too large");
    }
    if (write.properties.size() > base::max_properties_bytes) {
      return refusal(wire::Fault::too_large, "the properties are too large");
    }
    if (write.ttl_ms < 0 || write.ttl_ms > native::max_ttl_ms) {
      return refusal(wire::Fault::bad_field, "ttl_ms is out of range");
    }
  }
  if (bytes > base::max_client_frame_bytes) {
    return refusal(wire::Fault::too_large, "the writes are too large for one request");
  }
  return {};
}

}  // namespace canopy::client
