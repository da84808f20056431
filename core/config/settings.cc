#include "core/config/settings.h"

#include <charconv>

#include "core/base/text.h"

namespace canopy::config {
namespace {

std::string describe(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar: return base::quoted(node.Scalar());
    case YAML::NodeType::Sequence: return "a list";
    case YAML::NodeType::Map: return "a mapping";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined: break;
  }
  return "nothing";
}

base::Error wrong_type(const YAML::Node& node, const std::string& wanted) {
  return base::Error{describe(node) + " is not " + wanted};
}

// A quoted scalar is a text, even if it looks like a number.
bool is_plain(const YAML::Node& node) { return node.IsScalar() && node.Tag() != "!"; }

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

constexpr const char* merge_key = "<<";
constexpr int max_merges = 16;  // nested; an alias may refer to a node that contains it

base::Status add_entries(const YAML::Node& node, const Place& place, int merges,
                         std::vector<Entry>& entries);

// The sections that a `<<` at `where` names supply the keys that the section lacks; earlier ones
// win.
base::Status merge(const YAML::Node& node, const Place& place, const Place& where, int merges,
                   std::vector<Entry>& entries) {
  if (merges == max_merges) return where.error("too many sections inside one another");
  if (node.IsMap()) return add_entries(node, place, merges + 1, entries);
  if (!node.IsSequence()) return where.error(describe(node) + " is not a section to take over");
  for (const auto& each : node) {
    if (!each.IsMap()) return where.error(describe(each) + " is not a section to take over");
    if (auto status = add_entries(each, place, merges + 1, entries); !status) return status;
  }
  return {};
}

base::Status add_entries(const YAML::Node& node, const Place& place, int merges,
                         std::vector<Entry>& entries) {
  std::vector<Entry> own;
  std::vector<std::pair<YAML::Node, Place>> merged;
  for (const auto& pair : node) {
    const auto key = as_text(pair.first);
    if (!key) return inner(place, "?", line_of(pair.first)).error("a key must be a word");
    const Place where = inner(place, *key, line_of(pair.first));
    if (*key == merge_key && is_plain(pair.first)) {
      merged.emplace_back(pair.second, where);
      continue;
    }
    const auto twin = std::ranges::find(own, *key, &Entry::key);
    if (twin != own.end()) {
      return where.error("is given twice, also on line " + std::to_string(twin->place.line));
    }
    own.push_back({*key, pair.second, where});
  }
  for (Entry& entry : own) {
    const bool known = std::ranges::find(entries, entry.key, &Entry::key) != entries.end();
    if (!known) entries.push_back(std::move(entry));
  }
  for (const auto& [sections, where] : merged) {
    if (auto status = merge(sections, place, where, merges, entries); !status) return status;
  }
  return {};
}

}  // namespace

base::Result<std::string> as_text(const YAML::Node& node) {
  if (!node.IsScalar()) return wrong_type(node, "a text");
  if (!base::is_utf8(node.Scalar())) return base::Error{"the text is not UTF-8"};
  return node.Scalar();
}

base::Result<std::int64_t> as_integer(const YAML::Node& node, std::int64_t minimum,
                                      std::int64_t maximum) {
  if (!is_plain(node)) return wrong_type(node, "a whole number");
  const std::string& text = node.Scalar();
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && fault != std::errc::invalid_argument;
  if (!whole) return wrong_type(node, "a whole number");
  if (text.starts_with("0") && text.size() > 1) {
    return base::Error{base::quoted(text) + " begins with 0: a number is written decimal"};
  }
  if (fault == std::errc::result_out_of_range || value < minimum || value > maximum) {
    return base::Error{base::one_line(text.substr(0, 40)) + " is out of bounds: " +
                       std::to_string(minimum) + " to " + std::to_string(maximum)};
  }
  return value;
}

base::Result<bool> as_flag(const YAML::Node& node) {
  if (is_plain(node) && node.Scalar() == "true") return true;
  if (is_plain(node) && node.Scalar() == "false") return false;
  return wrong_type(node, "true or false");
}

Place inner(const Place& place, const std::string& key, int line) {
  return {place.file, line, place.key.empty() ? key : place.key + "." + key};
}

base::Result<std::vector<Entry>> section_entries(const YAML::Node& node, const Place& place) {
  std::vector<Entry> entries;
  if (node.IsNull()) return entries;
  if (!node.IsMap()) return place.error(describe(node) + " is not a section of `key: value` lines");
  if (auto status = add_entries(node, place, 0, entries); !status) {
    return base::Error{status.error()};
  }
  return entries;
}

base::Result<std::vector<Entry>> list_entries(const YAML::Node& node, const Place& place) {
  std::vector<Entry> entries;
  if (node.IsNull()) return entries;
  if (!node.IsSequence()) return place.error(describe(node) + " is not a list of `- …` items");
  for (const auto& item : node) {
    entries.push_back({"", item, {place.file, line_of(item), place.key}});
  }
  return entries;
}

}  // namespace canopy::config
