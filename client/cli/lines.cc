#include "client/cli/lines.h"

#include <algorithm>
#include <ctime>

#include "client/cli/json.h"
#include "client/cli/text.h"

namespace canopy::client::cli {
namespace {

std::string to_text(keyspace::Revision revision) { return std::to_string(revision.value()); }

// ISO 8601 with milliseconds: 2026-01-31T12:00:00.250Z.
std::string utc(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%FT%T", &parts);
  const std::string fraction = std::to_string(1000 + ms % 1000);
  return text + ("." + fraction.substr(1)) + "Z";
}

}  // namespace

std::string entry_line(const Answer::Entry& entry) {
  return escaped(entry.key) + "\t" + to_text(entry.revision) + "\t" + escaped(entry.value) + "\n";
}

std::string entry_table(const Answer::Entry& entry, std::int64_t now_ms) {
  std::string expires = "never";
  if (entry.expires_at_ms != 0) {
    const std::int64_t left = std::max<std::int64_t>(0, entry.expires_at_ms - now_ms);
    expires = utc(entry.expires_at_ms) + " (in " + std::to_string(left / 1000) + "s)";
  }
  return aligned({{"key", escaped(entry.key)},
                  {"revision", to_text(entry.revision)},
                  {"expires", expires},
                  {"properties", entry.properties.empty() ? "-" : escaped(entry.properties)},
                  {"value", escaped(entry.value)}});
}

std::string change_line(const Change& change, bool json) {
  const std::string type = change.deleted ? "DEL" : "PUT";
  const std::string revision = to_text(change.revision);
  if (json) {
    Json object = {{"type", type}};
    add_bytes(object, "key", change.key);
    object["revision"] = revision;
    if (change.deleted) {
      object["value"] = nullptr;
    } else {
      add_bytes(object, "value", change.value);
    }
    return json_line(object);
  }
  const std::string line = type + "\t" + escaped(change.key) + "\t" + revision;
  return change.deleted ? line + "\n" : line + "\t" + escaped(change.value) + "\n";
}

std::string gap_line(std::optional<std::uint64_t> updates, bool json) {
  if (!json) return "GAP\t" + (updates ? std::to_string(*updates) : "?") + "\n";
  return json_line({{"type", "GAP"}, {"updates", updates ? Json(*updates) : Json()}});
}

std::string resync_line(Synced::How how, bool json) {
  if (how == Synced::How::snapshot) return {};
  const std::string word = how == Synced::How::changes ? "changes" : "full";
  return json ? json_line({{"type", "RESYNC"}, {"how", word}}) : "RESYNC\t" + word + "\n";
}

}  // namespace canopy::client::cli
