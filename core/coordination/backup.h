// The order and the outcome of a backup of a shard's store, in the directory, as JSON. Pure.
//
//   "backup_orders/SHARD": {"order":"…","name":"monday"}
//   "backups/SHARD":       {"order":"…","name":"monday","path":"/…","error":""}
#pragma once

#include <string>

#include "core/base/result.h"

namespace canopy::coordination {

struct Backup {
  std::string order{};  // drawn at random by the client that asks
  std::string name{};   // of the directory that is made
  std::string path{};   // of that directory, on the shard's host; empty in an order
  std::string error{};  // why it was not made; empty: it is on disk
};

std::string to_json(const Backup& backup);
// Unknown fields are ignored.
base::Result<Backup> parse_backup(const std::string& json);

}  // namespace canopy::coordination
