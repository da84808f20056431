#include "client/cli/json.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/coordination/base64.h"

namespace canopy::client::cli {

void add_bytes(Json& object, const std::string& name, std::string_view bytes) {
  if (base::is_utf8(bytes)) {
    object[name] = bytes;
  } else {
    object[name + "_base64"] = coordination::to_base64(bytes);
  }
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json entry_json(const Answer::Entry& entry, std::int64_t now_ms) {
  Json object;
  add_bytes(object, "key", entry.key);
  object["revision"] = std::to_string(entry.revision.value());
  add_bytes(object, "value", entry.value);
  if (!entry.properties.empty()) add_bytes(object, "properties", entry.properties);
  if (entry.expires_at_ms != 0) {
    object["ttl_ms"] = std::max<std::int64_t>(1, entry.expires_at_ms - now_ms);
  }
  return object;
}

}  // namespace canopy::client::cli
