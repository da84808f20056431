#include "core/coordination/backup.h"

#include <nlohmann/json.hpp>

namespace canopy::coordination {

using nlohmann::json;

// A path may hold bytes that are not UTF-8.
std::string to_json(const Backup& backup) {
  const json document = {{"order", backup.order},
                         {"name", backup.name},
                         {"path", backup.path},
                         {"error", backup.error}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

base::Result<Backup> parse_backup(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return base::Error{"not a JSON object"};
  Backup backup;
  for (const auto& [name, target] : {std::pair("order", &backup.order),
                                     {"name", &backup.name},
                                     {"path", &backup.path},
                                     {"error", &backup.error}}) {
    const auto found = document.find(name);
    if (found == document.end()) continue;
    if (!found->is_string()) return base::Error{std::string("'") + name + "' is no text"};
    *target = found->get<std::string>();
  }
  if (backup.order.empty()) return base::Error{"'order' is missing"};
  return backup;
}

}  // namespace canopy::coordination
