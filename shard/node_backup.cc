// Backups of the store, as an operator orders them.
#include <algorithm>
#include <utility>

#include "core/base/text.h"
#include "shard/node.h"

namespace canopy::shard {

// Ignores an order that the directory held before this process listened.
void Node::on_backup_order(const coordination::Event& event) {
  if (!backup_orders_listed_ || !event.value) return;
  if (event.key != coordination::backup_orders_prefix + config_.name) return;
  auto backup = coordination::parse_backup(*event.value);
  if (!backup || std::exchange(backup_order_, backup->order) == backup->order) return;
  back_up(std::move(*backup));
}

// Backups go below the directory of the shard: an operator cannot choose another path.
void Node::back_up(coordination::Backup backup) {
  const auto refuse = [&](const std::string& why) { report_backup(backup, base::Error{why}); };
  if (!base::is_file_name(backup.name)) return refuse("the name of the backup is not a file name");
  if (storage_ == nullptr) {
    const auto failed = std::ranges::find_if(
        replicas_, [](const auto& replica) { return !replica->failure.empty(); });
    return refuse(failed != replicas_.end() ? (*failed)->failure
                                            : "keeps no partition on disk: there is no store");
  }
  backup.path = directory_ + "/backups/" + backup.name;
  if (!low_.empty()) return refuse(backup.path + ": " + low_);
  storage_->backup(backup.path,
                   [this, backup](const base::Status& status) { report_backup(backup, status); });
}

void Node::report_backup(coordination::Backup backup, const base::Status& status) {
  if (!status) backup.error = status.error();
  if (status) {
    base::log::info("shard", "backup written", {{"path", backup.path}});
  } else {
    base::log::error("shard", "no backup written", {{"why", backup.error}});
  }
  coordinator_->announce(coordination::backups_prefix + config_.name, to_json(backup));
}

}  // namespace canopy::shard
