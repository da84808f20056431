#include "client/cli/lines.h"

#include "client/cli/text.h"

namespace canopy::client::cli {
namespace {

std::string to_text(keyspace::Revision revision) { return std::to_string(revision.value()); }

}  // namespace

std::string entry_line(const Answer::Entry& entry) {
  return escaped(entry.key) + "\t" + to_text(entry.revision) + "\t" + escaped(entry.value) + "\n";
}

std::string change_line(const Change& change, bool json) {
  const std::string type = change.deleted ? "DEL" : "PUT";
  const std::string revision = to_text(change.revision);
  if (json) {
    return "{\"type\":\"" + type + "\"," + json_member("key", change.key) + ",\"revision\":\"" +
           revision + "\"," +
           (change.deleted ? "\"value\":null" : json_member("value", change.value)) + "}\n";
  }
  const std::string line = type + "\t" + escaped(change.key) + "\t" + revision;
  return change.deleted ? line + "\n" : line + "\t" + escaped(change.value) + "\n";
}

std::string gap_line(std::optional<std::uint64_t> updates, bool json) {
  const std::string count = updates ? std::to_string(*updates) : json ? "null" : "?";
  return json ? "{\"type\":\"GAP\",\"updates\":" + count + "}\n" : "GAP\t" + count + "\n";
}

std::string resync_line(Synced::How how, bool json) {
  if (how == Synced::How::snapshot) return {};
  const std::string word = how == Synced::How::changes ? "changes" : "full";
  return json ? "{\"type\":\"RESYNC\",\"how\":\"" + word + "\"}\n" : "RESYNC\t" + word + "\n";
}

}  // namespace canopy::client::cli
